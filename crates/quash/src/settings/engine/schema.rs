//! The JSON Schema (draft 2020-12) of the settings file, for editors. It covers the forms and bounds of
//! single keys; rules about several keys or other files are only checked by quash.

use serde_json::{Map, Value, json};

use super::key::{Description, FILE, Unset};
use super::layers::NAME_BYTES;
use super::pattern;
use super::shape::Shape;
use super::show::value;
use super::table::{Naming, Table};
use super::value::Raw;
use crate::settings::sections::SECTIONS;

/// Returns the schema of the settings file.
pub(crate) fn schema() -> Value {
    of_file(SECTIONS)
}

pub(crate) fn of_file(tables: &[Table]) -> Value {
    let sections: Map<String, Value> =
        tables.iter().map(|table| (table.name.to_owned(), of_table(table))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of quash",
        "description": "quash.toml. Each key may also be set in the environment and with --set.",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

fn of_table(table: &Table) -> Value {
    let content = of_content(table);
    match table.naming {
        Naming::One => with(json!({ "description": table.doc }), content),
        Naming::Named => json!({
            "description": table.doc,
            "type": "object",
            "additionalProperties": false,
            "patternProperties": { format!("^[a-z0-9_-]{{1,{NAME_BYTES}}}$"): content },
        }),
    }
}

fn of_content(table: &Table) -> Value {
    let keys = table.keys();
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.clone(), of_key(key))).collect();
    let content = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let in_files = keys.iter().filter(|key| key.shape.may_be_in_a_file());
    let not_both: Vec<Value> = in_files
        .map(|key| json!({ "not": { "required": [key.name, format!("{}{FILE}", key.name)] } }))
        .collect();
    if not_both.is_empty() { content } else { with(content, json!({ "allOf": not_both })) }
}

fn of_key(key: &Description) -> Value {
    let plain = |toml: &str| value(&key.shape, &Raw::parse(toml));
    let unset = match key.unset {
        _ if key.shape.may_be_in_a_file() => json!({}),
        Unset::DefaultsTo(toml) => json!({ "default": plain(toml) }),
        Unset::Optional { example } | Unset::Required { example } => json!({ "examples": [plain(example)] }),
    };
    let described = json!({ "description": format!("{} ({})", key.doc, key.shape) });
    with(with(described, of_shape(&key.shape)), unset)
}

fn of_shape(shape: &Shape) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    match shape {
        Shape::Span(span) => json!({ "type": "string", "pattern": pattern::span(*span) }),
        Shape::Text | Shape::File | Shape::Secret | Shape::Public => text,
        Shape::List => {
            json!({ "anyOf": [{ "type": "array", "items": text, "minItems": 1, "uniqueItems": true }, text] })
        }
        Shape::Pairs(names) => {
            let properties: Map<String, Value> =
                names.iter().map(|name| ((*name).to_owned(), text.clone())).collect();
            json!({ "type": "object", "additionalProperties": false, "properties": properties, "minProperties": 1 })
        }
        Shape::Switch => json!({ "type": "boolean" }),
        Shape::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::Acceptance => json!({ "type": "string", "pattern": pattern::ACCEPTANCE }),
        Shape::Address => json!({ "type": "string", "pattern": pattern::ADDRESS }),
        Shape::Or(word, other) => json!({ "anyOf": [of_shape(other), { "const": word }] }),
    }
}

/// Merges the members of two objects.
fn with(mut first: Value, second: Value) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut first, second) {
        all.extend(more);
    }
    first
}
