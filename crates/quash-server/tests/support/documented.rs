//! Compares each response with the OpenAPI document of its server: the status, the media type, the required headers,
//! and the body. Objects may have no other members than the documented ones, unless the document allows others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use http::Method;
use jsonschema::Validator;
use quash_server::{HttpSettings, openapi};
use quash_service::Service;
use serde_json::{Map, Value, json};

use super::Answer;

const COMPONENTS: &str = "#/components/schemas/";

/// The document of a server. Validators are made when they are needed.
pub(crate) struct Documented {
    service: Service,
    settings: HttpSettings,
    document: OnceLock<Value>,
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

impl Documented {
    pub(crate) fn new(service: Service, settings: HttpSettings) -> Self {
        Self { service, settings, document: OnceLock::new(), validators: Mutex::default() }
    }

    /// Checks a response to a request with this method and target.
    pub(crate) fn check(&self, method: &Method, target: &str, answer: &Answer) {
        let line = format!("{method} {target}");
        let Some((path, operation)) = self.operation(method, target) else {
            // A preflight is answered before the router sees it.
            let is_preflight = *method == Method::OPTIONS && answer.status == 204;
            assert!(
                answer.status >= 400 || is_preflight,
                "{line} is not documented, and was not refused\n{answer}"
            );
            return;
        };
        if *method == Method::OPTIONS && answer.status == 204 {
            return;
        }
        let status = answer.status.to_string();
        let response = &operation["responses"][&status];
        assert!(response.is_object(), "{line}: the status is not documented\n{answer}");
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let is_required = header["required"] == true;
            assert!(!is_required || answer.headers.contains_key(name), "{line}: {name} is missing\n{answer}");
        }
        if *method == Method::HEAD || answer.body.is_empty() {
            assert!(
                *method == Method::HEAD || response.get("content").is_none(),
                "{line}: no body\n{answer}"
            );
            return;
        }
        let media_type = answer.header("content-type").unwrap_or_default();
        let Some(content) = response["content"].get(media_type) else {
            panic!("{line}: the media type is not documented\n{answer}");
        };
        if matches!(media_type, "application/json" | "application/problem+json") {
            let validator =
                self.validator(&format!("{method} {path} {status} {media_type}"), &content["schema"]);
            let errors: Vec<_> = validator
                .iter_errors(&answer.json())
                .map(|error| format!("{error} at \"{}\"", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{line}: the body is not as documented: {errors:#?}\n{answer}");
        }
    }

    /// Returns the path of an operation in the document, and the operation.
    fn operation(&self, method: &Method, target: &str) -> Option<(&str, &Value)> {
        let target = target.split('?').next().unwrap_or_default();
        let method = if *method == Method::HEAD { "get" } else { &*method.as_str().to_lowercase() };
        let document = self.document.get_or_init(|| openapi(self.service.clone(), self.settings.clone()));
        let paths = document["paths"].as_object().expect("paths");
        let mut found: Vec<_> = paths.iter().filter(|(path, _)| is_of(target, path)).collect();
        // As in the router, literal segments come before parameters.
        found.sort_by_key(|(path, _)| path.contains('{'));
        found.into_iter().next().and_then(|(path, item)| Some((path.as_str(), item.get(method)?)))
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no panic");
        let validator = validators.entry(name.to_owned()).or_insert_with(|| {
            let all = &self.document.get().expect("a document")["components"]["schemas"];
            let whole = closed(schema, all);
            Arc::new(jsonschema::draft202012::new(&whole).unwrap_or_else(|error| panic!("{name}: {error}")))
        });
        Arc::clone(validator)
    }
}

/// Returns whether a target is at a documented path. A slash at its end may be left out. The parameter `path` is the
/// rest of a path.
fn is_of(target: &str, path: &str) -> bool {
    let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (mut target, mut path) = match path.strip_suffix('/') {
        Some(path) => (segments(target.strip_suffix('/').unwrap_or(target)), segments(path)),
        None => (segments(target), segments(path)),
    };
    if path.last().is_some_and(|last| last == "{path}") && target.len() >= path.len() {
        target.truncate(path.len() - 1);
        path.pop();
    }
    target.len() == path.len()
        && target
            .iter()
            .zip(&path)
            .all(|(target, path)| target == path || (path.starts_with('{') && !target.is_empty()))
}

/// Returns a schema with the components that it needs, where objects have no other members.
fn closed(schema: &Value, all: &Value) -> Value {
    let mut needed = BTreeSet::new();
    let mut combined = BTreeSet::new();
    find_references(schema, all, false, &mut needed, &mut combined);
    let mut components = Map::new();
    for name in &needed {
        let mut component = all[name].clone();
        // Other members may stand next to those of a component that is combined with others.
        close(&mut component, combined.contains(name));
        components.insert(name.clone(), component);
    }
    let mut schema = schema.clone();
    close(&mut schema, true);
    json!({ "allOf": [schema], "unevaluatedProperties": false, "components": { "schemas": components } })
}

fn find_references(
    schema: &Value,
    all: &Value,
    is_combined: bool,
    needed: &mut BTreeSet<String>,
    combined: &mut BTreeSet<String>,
) {
    match schema {
        Value::Array(items) => {
            items.iter().for_each(|item| find_references(item, all, is_combined, needed, combined))
        }
        Value::Object(members) => {
            for (name, member) in members {
                if let (Some(component), "$ref") = (member.as_str(), name.as_str()) {
                    let component = component.strip_prefix(COMPONENTS).expect("a component");
                    let is_new = needed.insert(component.to_owned());
                    let is_newly_combined = is_combined && combined.insert(component.to_owned());
                    if is_new || is_newly_combined {
                        find_references(&all[component], all, is_combined, needed, combined);
                    }
                    continue;
                }
                let is_combined = match name.as_str() {
                    "allOf" => true,
                    "anyOf" | "oneOf" => is_combined,
                    _ => false,
                };
                find_references(member, all, is_combined, needed, combined);
            }
        }
        _ => {}
    }
}

fn close(schema: &mut Value, is_combined: bool) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, is_combined)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match name.as_str() {
                    "allOf" => close(member, true),
                    "anyOf" | "oneOf" => close(member, is_combined),
                    "properties" => {
                        member.as_object_mut().into_iter().flatten().for_each(|(_, one)| close(one, false))
                    }
                    _ => close(member, false),
                }
            }
            let is_object = members.contains_key("properties") || members.contains_key("allOf");
            if is_object && !is_combined && !members.contains_key("additionalProperties") {
                members.insert("unevaluatedProperties".into(), false.into());
            }
        }
        _ => {}
    }
}
