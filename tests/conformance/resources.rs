//! The resources, and the two small files that tools and prompts show as well.

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

/// A PNG of one pixel, in Base64.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

/// A WAV of no samples, in Base64.
pub(crate) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";

/// What the URIs of the template begin and end with, around the identifier.
const TEMPLATE: (&str, &str) = ("test://template/", "/data");

pub(crate) fn list() -> Vec<Resource> {
    vec![
        Resource::new(TEXT, "static-text")
            .with_description("A text that never changes")
            .with_mime_type("text/plain"),
        Resource::new(BINARY, "static-binary")
            .with_description("An image that never changes")
            .with_mime_type("image/png"),
        Resource::new(WATCHED, "watched-resource")
            .with_description("A text that one can subscribe to")
            .with_mime_type("text/plain"),
    ]
}

pub(crate) fn template() -> ResourceTemplate {
    let (before, behind) = TEMPLATE;
    ResourceTemplate::new(format!("{before}{{id}}{behind}"), "template")
        .with_description("What there is to know of an identifier")
        .with_mime_type("application/json")
}

pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let (before, behind) = TEMPLATE;
    let id = uri
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(behind));
    let contents = match (uri, id) {
        (TEXT, _) => text(uri, "This is the content of the static text resource."),
        (WATCHED, _) => text(uri, "This is the content of the watched resource."),
        (BINARY, _) => ResourceContents::blob(PNG, uri).with_mime_type("image/png"),
        (_, Some(id)) => {
            let data = format!("Data for ID: {id}");
            let data = json!({ "id": id, "templateTest": true, "data": data });
            ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
        }
        _ => {
            let data = Some(json!({ "uri": uri }));
            return Err(ErrorData::resource_not_found("Resource not found", data));
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

pub(crate) fn text(uri: &str, text: &str) -> ResourceContents {
    ResourceContents::text(text, uri).with_mime_type("text/plain")
}
