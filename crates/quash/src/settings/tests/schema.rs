//! Checks that the schema accepts what quash reads, and refuses malformed values. The validator here supports
//! only the keywords that the schema uses.

use regex::Regex;
use serde_json::Value;

use super::super::engine::schema::{of_file, schema};
use super::super::{Extent, draft};
use super::tables::all_that_go_together;
use super::test_sections::{self, TestDir};
use super::{EVERY_KEY, WRONG_KIND, WRONG_MEANING, load_from};

/// Converts a settings file to JSON.
pub(super) fn json_of(toml: &str) -> Value {
    let table: toml::Table = toml.parse().unwrap_or_else(|error| panic!("{error}: {toml}"));
    serde_json::to_value(table).expect("TOML is JSON, but for its dates")
}

/// Returns whether a value is valid by a schema (draft 2020-12).
pub(super) fn is_valid(schema: &Value, value: &Value) -> bool {
    let rules = schema.as_object().expect("a schema is an object");
    rules.iter().all(|(keyword, rule)| holds(keyword, rule, schema, value))
}

fn holds(keyword: &str, rule: &Value, schema: &Value, value: &Value) -> bool {
    let list = |rule: &Value| rule.as_array().cloned().expect("a list of schemas");
    let text = value.as_str();
    match keyword {
        "$schema" | "title" | "description" | "default" | "examples" => true,
        "type" => match rule.as_str().expect("one type") {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("the type {other} isn't known here"),
        },
        "enum" => list(rule).contains(value),
        "const" => rule == value,
        "pattern" => text.is_none_or(|text| {
            Regex::new(rule.as_str().expect("a pattern")).expect("a pattern").is_match(text)
        }),
        "minLength" => {
            text.is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().expect("a number"))
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().expect("a number")),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().expect("a number")),
        "minProperties" => {
            value.as_object().is_none_or(|members| members.len() as u64 >= rule.as_u64().expect("a number"))
        }
        "minItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().expect("a number"))
        }
        "uniqueItems" => value
            .as_array()
            .is_none_or(|items| items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(rule, item))),
        "anyOf" => list(rule).iter().any(|rule| is_valid(rule, value)),
        "allOf" => list(rule).iter().all(|rule| is_valid(rule, value)),
        "not" => !is_valid(rule, value),
        "required" => list(rule).iter().all(|name| value.get(name.as_str().expect("a name")).is_some()),
        "properties" | "patternProperties" | "additionalProperties" => {
            let members = value.as_object().into_iter().flatten();
            let mut about = members.map(|(name, member)| (covering(schema, name), member));
            match keyword {
                "additionalProperties" => {
                    rule == &Value::Bool(false) && about.all(|(rules, _)| !rules.is_empty())
                }
                _ => about.all(|(rules, member)| rules.iter().all(|rule| is_valid(rule, member))),
            }
        }
        other => panic!("the keyword {other} isn't known here"),
    }
}

/// Returns the parts of a schema about a member of this name.
fn covering<'a>(schema: &'a Value, name: &str) -> Vec<&'a Value> {
    let named = schema.get("properties").and_then(|members| members.get(name));
    let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
    let matching = patterns
        .filter(|(pattern, _)| Regex::new(pattern).expect("a pattern").is_match(name))
        .map(|(_, rule)| rule);
    named.into_iter().chain(matching).collect()
}

#[test]
fn every_loadable_file_matches_the_schema() {
    let schema = schema();
    let all_set = all_that_go_together(&draft(Extent::Whole));
    for file in [
        "",
        EVERY_KEY,
        &all_set,
        &draft(Extent::Minimal),
        "[tokens]\n[log]\n",
        "tokens.audience = \"one\"",
        "tokens.leeway = \"0w\"\nrotation.grace = \"0005m\"",
        "sessions.absolute_lifetime = \"3653d\"\nsessions.max_per_account = 0x3e8",
        "http.listen = \"[::1]:0\"",
    ] {
        assert!(load_from(file, &[], &[]).is_ok(), "{file}");
        assert!(is_valid(&schema, &json_of(file)), "{file}");
    }
    for (line, _) in WRONG_MEANING {
        assert!(is_valid(&schema, &json_of(line)), "the schema doesn't claim to know: {line}");
    }
}

#[test]
fn malformed_values_violate_the_schema() {
    let schema = schema();
    for (line, _) in WRONG_KIND {
        assert!(!is_valid(&schema, &json_of(line)), "{line}");
    }
}

#[test]
fn the_schema_checks_names_and_secrets() {
    let schema = of_file(test_sections::TABLES);
    let longest = format!("[peer.{}]\nmax_lifetime = \"1d\"", "x".repeat(32));
    for file in [
        "",
        "[peer]",
        "[peer.a-b_0]\nmax_lifetime = \"1d\"\ntoken_file = \"k\"",
        "realm.seal = \"s\"",
        "realm.seal_file = \"k\"",
        &longest,
    ] {
        assert!(is_valid(&schema, &json_of(file)), "{file}");
    }
    let too_long = format!("[peer.{}]\nmax_lifetime = \"1d\"", "x".repeat(33));
    for file in [
        "[peer.A]\nmax_lifetime = \"1d\"",
        "[peer.\"\"]\nmax_lifetime = \"1d\"",
        "[peer]\nmax_lifetime = \"1d\"",
        "[peer.a]\ncolour = 1",
        "[peer.a]\nmax_lifetime = \"0s\"",
        "[realm]\nseal = \"s\"\nseal_file = \"k\"",
        "realm.seal = 5",
        &too_long,
    ] {
        assert!(!is_valid(&schema, &json_of(file)), "{file}");
        assert!(TestDir::new(file, &[], &[]).read().is_err(), "{file}");
    }
    // A variable may set a key that the file lacks.
    assert!(is_valid(&schema, &json_of("[peer.a]")));
    let printed = schema.to_string();
    assert!(
        !printed.contains("\"default\":\"seal.key\"") && printed.contains("\"examples\":[\"seal.key\"]"),
        "{printed}"
    );
}
