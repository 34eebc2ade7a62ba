//! The OpenAPI document is whole, and true of the routes.

use std::collections::BTreeSet;

use mcp_api_keys::admin::AdminApi;
use serde_json::Value;

use crate::rights::operations;
use crate::world::{Api, BASE};

fn document() -> Value {
    serde_json::from_str(&AdminApi::document(BASE)).unwrap()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                found.insert(target.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], BASE);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_names_what_may_go_wrong() {
    let document = document();
    let mut names = BTreeSet::new();
    for (method, path, _) in operations() {
        let operation = &document["paths"][&path][method.to_lowercase()];
        assert!(
            names.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{path}"
        );
        assert!(operation["summary"].is_string(), "{method} {path}");
        if path == "/openapi.json" {
            continue;
        }
        for status in ["400", "401", "403", "429", "503"] {
            assert!(
                operation["responses"].get(status).is_some(),
                "{method} {path} {status}"
            );
        }
        let schemes: Vec<_> = operation["security"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|scheme| scheme.as_object().unwrap().keys().cloned())
            .collect();
        assert_eq!(schemes, ["bearer", "header"]);
        let success = ["200", "201"].iter().any(|status| {
            operation["responses"][status]["content"]["application/json"]["schema"].is_object()
        });
        assert!(success, "{method} {path}");
    }
}

/// No route is missing in the document, as far as its paths go, and none is there that is not served.
#[tokio::test]
async fn the_document_tells_the_routes() {
    let api = Api::new().await;
    let root = api.root().await;
    let operations = operations();
    let paths: BTreeSet<&String> = operations.iter().map(|(_, path, _)| path).collect();
    for path in paths {
        let told: BTreeSet<&str> = operations
            .iter()
            .filter(|(_, of, _)| of == path)
            .map(|(method, _, _)| method.as_str())
            .collect();
        let place = path
            .replace("{id}", "key_00VZwwy0Fq9zX3Uvt4pS0L")
            .replace("{handle}", "ATgKlpEa")
            .replace("{rule}", "idle")
            .replace("{name}", "nothing");
        // No path knows this one.
        let answer = api.ask("OPTIONS", &place).key(&root).send().await;
        assert_eq!(
            answer.refusal(),
            (405, "method_not_allowed".to_owned()),
            "{path}"
        );
        let served: BTreeSet<&str> = answer
            .header("allow")
            .split(',')
            .map(str::trim)
            .filter(|method| *method != "HEAD")
            .collect();
        assert_eq!(served, told, "{path}");
    }
}

#[tokio::test]
async fn the_document_is_open_and_knows_where_it_is() {
    let api = Api::new().await;
    let answer = api.ask("GET", "/openapi.json").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text, AdminApi::document(BASE));
    assert_eq!(answer.json()["servers"][0]["url"], BASE);
    let bare: Value = serde_json::from_str(&AdminApi::document("")).unwrap();
    assert_eq!(bare["servers"][0]["url"], "/");
}
