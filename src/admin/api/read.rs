//! Reading what a request says: its body, its query, its path.
//!
//! 1. A body is JSON, says so, is not compressed, is not larger than it may be and comes in time.
//! 2. A member or parameter that is not known is refused: it may have been meant to restrict
//!    something. So is one that stands twice.
//! 3. What is wrong is named by its place: `limits[0].per`.

use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use serde_json::error::Category;

use super::fault::Fault;

/// The most that a body may have, in bytes, and the most for an import.
pub(super) const LARGEST: usize = 1 << 20;
pub(super) const LARGEST_IMPORT: usize = 8 << 20;

/// How long a body may take to arrive.
const SLOWEST: Duration = Duration::from_secs(30);

/// A body of JSON, of at most `MOST` bytes.
#[derive(Debug)]
pub(super) struct Json<T, const MOST: usize = LARGEST>(pub(super) T);

/// A body of JSON that may be left out, which is as good as `{}`, and so is `null`.
#[derive(Debug)]
pub(super) struct MaybeJson<T>(pub(super) T);

/// A body that is said to be JSON, as it came.
#[derive(Debug)]
pub(super) struct Whole(pub(super) Bytes);

/// The query.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

/// A name in the path. There is nothing under a name that cannot be one.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<S, T, const MOST: usize> FromRequest<S> for Json<T, MOST>
where
    S: Sync,
    T: DeserializeOwned,
{
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (head, body) = request.into_parts();
        check_type(&head.headers)?;
        let bytes = whole(&head.headers, body, MOST).await?;
        parsed(&bytes).map(Self)
    }
}

impl<S: Sync> FromRequest<S> for Whole {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (head, body) = request.into_parts();
        check_type(&head.headers)?;
        whole(&head.headers, body, LARGEST).await.map(Self)
    }
}

impl<S, T> FromRequest<S> for MaybeJson<T>
where
    S: Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (head, body) = request.into_parts();
        let bytes = whole(&head.headers, body, LARGEST).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        check_type(&head.headers)?;
        let read: Option<T> = parsed(&bytes)?;
        Ok(Self(read.unwrap_or_default()))
    }
}

impl<S, T> FromRequestParts<S> for Asked<T>
where
    S: Sync,
    T: DeserializeOwned,
{
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Fault> {
        match Query::<T>::try_from_uri(&head.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => {
                let text = error.body_text();
                let what = text
                    .rsplit_once("string: ")
                    .map_or(&*text, |(_, what)| what);
                let fault = Fault::malformed(format!("the query cannot be read: {what}"));
                Err(match what.split_once(": ") {
                    Some((field, _)) => fault.in_field(field),
                    None => fault,
                })
            }
        }
    }
}

impl<S, T> FromRequestParts<S> for Named<T>
where
    S: Sync,
    T: FromStr,
{
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Fault> {
        let path = Path::<String>::from_request_parts(head, &()).await;
        let _ = state;
        path.ok()
            .and_then(|Path(name)| name.parse().ok())
            .map(Self)
            .ok_or_else(|| Fault::not_found("there is nothing of this name"))
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Fault> {
    let is_json = one(headers, &CONTENT_TYPE).is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    let plain = !headers.contains_key(CONTENT_ENCODING)
        || one(headers, &CONTENT_ENCODING).is_some_and(|value| value == "identity");
    if is_json && plain {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be application/json, without a content encoding",
    ))
}

/// The one value of a header, if it has one that is text.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

async fn whole(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Fault> {
    let too_large = || {
        let message = format!("the body must be at most {most} bytes");
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    let announced = one(headers, &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(SLOWEST, Limited::new(body, most).collect()).await;
    let Ok(read) = read else {
        let message = "the body did not arrive in time";
        return Err(Fault::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            message,
        ));
    };
    match read {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Fault::malformed("the body broke off")),
    }
}

/// Reads JSON. What is no JSON is malformed, what is not what was expected names its place.
pub(super) fn parsed<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            Category::Data => misplaced(&place, &error),
            _ => Fault::malformed(format!("the body is no JSON: {error}")),
        }
    })?;
    json.end()
        .map_err(|error| Fault::malformed(format!("the body is no JSON: {error}")))?;
    match list_for_object(text) {
        None => Ok(value),
        Some(place) => Err(Fault::invalid(place, "must be an object")),
    }
}

/// Where a list stands in place of an object. serde takes one for the other, member by member in the
/// order of the source: a list that is empty would be an object that says nothing.
fn list_for_object(text: &[u8]) -> Option<&'static str> {
    const OBJECTS: [&str; 6] = ["networks", "mcp", "tools", "resources", "prompts", "filter"];
    const LISTS: [&str; 2] = ["limits", "quotas"];
    fn found(value: &Value) -> Option<&'static str> {
        let Value::Object(members) = value else {
            return None;
        };
        let object = |name: &&str| members.get(*name).is_some_and(Value::is_array);
        let list = |name: &&str| {
            let entries = members.get(*name).and_then(Value::as_array);
            entries.is_some_and(|entries| entries.iter().any(Value::is_array))
        };
        let here = OBJECTS.into_iter().find(object);
        let here = here.or_else(|| LISTS.into_iter().find(list));
        here.or_else(|| members.values().find_map(found))
    }
    let value = serde_json::from_slice(text).ok()?;
    if Value::is_array(&value) {
        return Some("body");
    }
    found(&value)
}

fn misplaced(place: &str, error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let what = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(what, _)| what);
    if place == "." {
        let fault = Fault::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_input",
            what.to_owned(),
        );
        // serde names a member that is missing, not known or given twice, between backquotes.
        return match what.split('`').nth(1) {
            Some(field) => fault.in_field(field),
            None => fault,
        };
    }
    Fault::invalid(place, what)
}

/// For members of a change, where `null` says something: to remove what was there.
pub(super) fn nullable<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(from).map(Some)
}

/// For members of a change that cannot be removed, where `null` is a mistake.
pub(super) fn present<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Some)
}
