//! `GET /docs`: a page about all operations, made from the OpenAPI document. It needs no script: an operation opens by
//! itself.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde_json::{Map, Value};

use super::html;
use crate::openapi::operation::{Operation, Tag};
use crate::response::with_header;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs<'a> {
    groups: Vec<Group<'a>>,
    schemas: Vec<Schema<'a>>,
}

struct Group<'a> {
    name: &'static str,
    anchor: String,
    text: &'static str,
    operations: Vec<Shown<'a>>,
}

struct Shown<'a> {
    id: &'a str,
    method: String,
    path: &'a str,
    summary: &'a str,
    text: Vec<Text<'a>>,
    access: String,
    parameters: Vec<Member<'a>>,
    bodies: Vec<Body<'a>>,
    responses: Vec<Answer<'a>>,
}

struct Answer<'a> {
    status: &'a str,
    lines: Vec<Vec<Text<'a>>>,
    bodies: Vec<Body<'a>>,
    headers: Vec<Member<'a>>,
}

struct Body<'a> {
    media_type: &'a str,
    kind: Vec<Text<'a>>,
}

struct Schema<'a> {
    name: &'a str,
    text: Vec<Text<'a>>,
    kind: Vec<Text<'a>>,
    members: Vec<Member<'a>>,
}

/// A parameter, a header or a property.
struct Member<'a> {
    name: &'a str,
    place: String,
    required: bool,
    kind: Vec<Text<'a>>,
    text: Vec<Text<'a>>,
}

/// A part of a text. In the kind of a value, code is the name of a schema.
struct Text<'a> {
    text: &'a str,
    is_code: bool,
}

pub(crate) async fn show(State(state): State<Arc<AppState>>) -> Response {
    let document = state.document();
    let groups = Tag::ALL.into_iter().map(|tag| Group {
        name: tag.name(),
        anchor: tag.name().to_lowercase().replace(' ', "-"),
        text: tag.text(),
        operations: operations_of(document, tag),
    });
    let schemas = members(&document["components"]["schemas"]).map(|(name, schema)| Schema {
        name,
        text: marked(text(schema, "description")),
        kind: kind(schema),
        members: properties(schema),
    });
    let page = Docs { groups: groups.collect(), schemas: schemas.collect() };
    // It changes with the settings, or with the program.
    with_header(html(StatusCode::OK, &page), CACHE_CONTROL, "public, max-age=300")
}

pub(crate) fn describe_show() -> Operation {
    Operation::new(Tag::Pages, "showDocs", "Shows all operations").answers_page("The page.")
}

fn operations_of(document: &Value, tag: Tag) -> Vec<Shown<'_>> {
    let all = members(&document["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, operation)| (path, method, operation)));
    all.filter(|(_, _, operation)| operation["tags"][0] == tag.name())
        .map(|(path, method, operation)| Shown {
            id: text(operation, "operationId"),
            method: method.to_uppercase(),
            path,
            summary: text(operation, "summary"),
            text: marked(text(operation, "description")),
            access: access(operation),
            parameters: items(&operation["parameters"])
                .map(|parameter| Member {
                    name: text(parameter, "name"),
                    place: format!("{}, ", text(parameter, "in")),
                    required: parameter["required"] == true,
                    kind: kind(&parameter["schema"]),
                    text: marked(text(parameter, "description")),
                })
                .collect(),
            bodies: bodies(&operation["requestBody"]),
            responses: members(&operation["responses"])
                .map(|(status, answer)| Answer {
                    status,
                    lines: text(answer, "description")
                        .lines()
                        .filter(|line| !line.is_empty())
                        .map(marked)
                        .collect(),
                    bodies: bodies(answer),
                    headers: members(&answer["headers"])
                        .map(|(name, header)| Member {
                            name,
                            place: String::new(),
                            required: false,
                            kind: Vec::new(),
                            text: marked(text(header, "description")),
                        })
                        .collect(),
                })
                .collect(),
        })
        .collect()
}

/// Returns the ways to authenticate.
fn access(operation: &Value) -> String {
    let ways: Vec<_> = items(&operation["security"])
        .map(|way| members(way).next().map_or("in the body", |(scheme, _)| scheme))
        .collect();
    if ways.is_empty() { "none".to_owned() } else { ways.join(" or ") }
}

fn bodies(holder: &Value) -> Vec<Body<'_>> {
    members(&holder["content"])
        .map(|(media_type, content)| Body { media_type, kind: kind(&content["schema"]) })
        .collect()
}

/// Returns the properties of an object, and of the alternatives that it consists of.
fn properties(schema: &Value) -> Vec<Member<'_>> {
    let required = |name: &str| items(&schema["required"]).any(|required| required == name);
    let own = members(&schema["properties"]).map(|(name, property)| Member {
        name,
        place: String::new(),
        required: required(name),
        kind: kind(property),
        text: marked(text(property, "description")),
    });
    let parts = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|name| items(&schema[name]));
    own.chain(parts.flat_map(properties)).collect()
}

/// Returns the kind of a value in words.
fn kind(schema: &Value) -> Vec<Text<'_>> {
    const LIST: &str = "list of ";
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return vec![Text { text: name, is_code: true }];
    }
    for (name, word) in [("anyOf", " or "), ("oneOf", " or "), ("allOf", " with ")] {
        if schema[name].is_array() {
            let parts = items(&schema[name]).map(kind).filter(|part| !part.is_empty());
            return joined(parts, word);
        }
    }
    if schema["enum"].is_array() {
        return joined(
            items(&schema["enum"]).filter_map(Value::as_str).map(|word| vec![plain(word)]),
            " or ",
        );
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => {
            std::iter::once(plain(LIST)).chain(kind(&schema["items"])).collect()
        }
        Value::String(name) => vec![plain(name)],
        kinds => joined(items(kinds).filter_map(Value::as_str).map(|name| vec![plain(name)]), " or "),
    }
}

fn joined<'a>(parts: impl Iterator<Item = Vec<Text<'a>>>, word: &'static str) -> Vec<Text<'a>> {
    parts.fold(Vec::new(), |mut joined, part| {
        if !joined.is_empty() {
            joined.push(plain(word));
        }
        joined.extend(part);
        joined
    })
}

fn plain(text: &str) -> Text<'_> {
    Text { text, is_code: false }
}

/// Splits a text at its marks for code, and takes that of a list item away.
fn marked(text: &str) -> Vec<Text<'_>> {
    let text = text.strip_prefix("- ").unwrap_or(text);
    let parts = text.split('`').enumerate().map(|(index, text)| Text { text, is_code: index % 2 == 1 });
    parts.filter(|part| !part.text.is_empty()).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(schema: &Value) -> String {
        kind(schema).iter().map(|part| part.text).collect()
    }

    #[test]
    fn kinds_are_written_in_words() {
        let session = json!({ "$ref": "#/components/schemas/Session" });
        for (schema, words) in [
            (json!({ "type": "string" }), "string"),
            (json!({ "type": ["string", "null"] }), "string or null"),
            (json!({ "type": "array", "items": session }), "list of Session"),
            (json!({ "oneOf": [session, { "type": "null" }] }), "Session or null"),
            (json!({ "allOf": [session, { "properties": { "code": { "enum": ["a"] } } }] }), "Session"),
            (json!({ "enum": ["deny", "allow"] }), "deny or allow"),
            (json!({}), ""),
        ] {
            assert_eq!(shown(&schema), words, "{schema}");
        }
    }

    #[test]
    fn properties_of_alternatives_are_listed() {
        let link = json!({ "type": "object", "required": ["token"], "properties": { "token": { "type": "string" } } });
        let code = json!({ "type": "object", "properties": { "code": { "type": "string" } } });
        let schema = json!({ "oneOf": [link, code] });
        let listed = properties(&schema);
        assert_eq!(
            listed.iter().map(|one| (one.name, one.required)).collect::<Vec<_>>(),
            [("token", true), ("code", false)]
        );
    }

    #[test]
    fn marks_for_code_split_a_text() {
        let parts = marked("- `a`: b");
        assert_eq!(
            parts.iter().map(|part| (part.text, part.is_code)).collect::<Vec<_>>(),
            [("a", true), (": b", false)]
        );
    }
}
