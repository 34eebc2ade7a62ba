//! Which answers lead to what can be asked next, as links of the document.
//!
//! Programs that walk an API by its document find by them what they have to name: an alert that there
//! is, the revision that a key has.

use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Operation, Paths};

/// A link: from the answer of which operations, to which one, and what it is given.
type Link = (&'static [&'static str], &'static str, Given);

/// Parameters, each with the expression that says where its value stands.
type Given = &'static [(&'static str, &'static str)];

const KEY: Given = &[("path.id", "$response.body#/id")];
const KEY_AS_IT_IS: Given = &[
    ("path.id", "$response.body#/id"),
    ("header.If-Match", "$response.header.ETag"),
];
const FIRST_KEY: Given = &[("path.id", "$response.body#/keys/0/id")];
const SAME_OWNER: Given = &[
    ("path.id", "$request.path.id"),
    ("header.If-Match", "$response.header.ETag"),
];
const SAME_PLAN: Given = &[
    ("path.name", "$request.path.name"),
    ("header.If-Match", "$response.header.ETag"),
];

const LINKS: [Link; 18] = [
    (&["createKey", "updateKey", "rotateKey"], "readKey", KEY),
    (&["createKey", "enableKey"], "disableKey", KEY_AS_IT_IS),
    (&["createKey", "disableKey"], "enableKey", KEY_AS_IT_IS),
    (&["createKey", "readKey"], "updateKey", KEY_AS_IT_IS),
    (&["createKey", "readKey"], "rotateKey", KEY_AS_IT_IS),
    (&["rotateKey"], "endGrace", KEY_AS_IT_IS),
    (&["createKey", "readKey"], "revokeKey", KEY_AS_IT_IS),
    (&["createKey", "revokeKey"], "deleteKey", KEY_AS_IT_IS),
    (&["createKey"], "readLastUse", KEY),
    (&["listKeys"], "readKey", FIRST_KEY),
    (
        &["listConnections"],
        "disconnect",
        &[("path.id", "$response.body#/connections/0/id")],
    ),
    (
        &["listAlerts"],
        "acknowledgeAlert",
        &[
            ("path.id", "$response.body#/alerts/0/key"),
            ("path.rule", "$response.body#/alerts/0/rule"),
        ],
    ),
    (
        &["defineOwner"],
        "readOwner",
        &[("path.id", "$request.path.id")],
    ),
    (
        &["defineOwner"],
        "suspendOwner",
        &[("path.id", "$request.path.id")],
    ),
    (
        &["suspendOwner"],
        "resumeOwner",
        &[("path.id", "$request.path.id")],
    ),
    (&["defineOwner", "readOwner"], "removeOwner", SAME_OWNER),
    (
        &["definePlan"],
        "readPlan",
        &[("path.name", "$request.path.name")],
    ),
    (&["definePlan", "readPlan"], "removePlan", SAME_PLAN),
];

/// Adds the links to the answers of success.
pub(super) fn add(paths: &mut Paths) {
    let mut operations: BTreeMap<String, &mut Operation> = BTreeMap::new();
    for item in paths.paths.values_mut() {
        let all = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in all.into_iter().flatten() {
            if let Some(id) = operation.operation_id.clone() {
                operations.insert(id, operation);
            }
        }
    }
    for (from, to, given) in LINKS {
        for from in from {
            let Some(operation) = operations.get_mut(*from) else {
                continue;
            };
            let answers = operation.responses.responses.iter_mut();
            let of_success = answers.filter(|(status, _)| status.starts_with('2'));
            for (_, answer) in of_success {
                if let RefOr::T(answer) = answer {
                    let link = LinkBuilder::new().operation_id(to);
                    let given = given.iter();
                    let link =
                        given.fold(link, |link, (name, value)| link.parameter(*name, *value));
                    answer.links.insert(to.to_owned(), RefOr::T(link.build()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(&super::super::document::written("")).unwrap()
    }

    fn operation<'a>(document: &'a Value, id: &str) -> &'a Value {
        let items = document["paths"].as_object().unwrap().values();
        let operations = items.flat_map(|item| item.as_object().unwrap().values());
        let mut found = operations.filter(|operation| operation["operationId"] == id);
        let operation = found.next().unwrap_or_else(|| panic!("no operation {id}"));
        assert!(found.next().is_none());
        operation
    }

    #[test]
    fn every_link_leads_to_parameters_that_there_are() {
        let document = document();
        for (from, to, given) in LINKS {
            for from in from {
                let answers = operation(&document, from)["responses"].as_object().unwrap();
                let linked = answers.iter().any(|(status, answer)| {
                    status.starts_with('2') && answer["links"][to]["operationId"] == to
                });
                assert!(linked, "{from} -> {to}");
            }
            let parameters = operation(&document, to)["parameters"].as_array().unwrap();
            for (name, _) in given {
                let (place, name) = name.split_once('.').unwrap();
                let is_there = parameters
                    .iter()
                    .any(|known| known["in"] == place && known["name"] == name);
                assert!(is_there, "{to} has no {name} in its {place}");
            }
        }
    }
}
