//! All the places of one gate, looked at together.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use super::{Bearer, ExtractKey, Found, KeyHeader, bearer, header};
use crate::key::{Carrier, KeyFormats};

/// Up to so many lines of headers, reading their names costs less than looking up two of them.
const FEW_LINES: usize = 10;

/// Where keys may stand: in headers, or wherever somebody's own extractors look.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    bearer: bool,
    headers: Vec<HeaderName>,
    others: Vec<Arc<dyn ExtractKey>>,
}

impl Default for Places {
    /// `Authorization: Bearer` and `X-API-Key`.
    fn default() -> Self {
        Self {
            bearer: true,
            headers: vec![KeyHeader::default().into_name()],
            others: Vec::new(),
        }
    }
}

impl Places {
    /// Nowhere.
    pub(crate) fn none() -> Self {
        Self {
            bearer: false,
            headers: Vec::new(),
            others: Vec::new(),
        }
    }

    pub(crate) fn add_header(&mut self, name: HeaderName) {
        self.headers.push(name);
    }

    pub(crate) fn add(&mut self, place: Arc<dyn ExtractKey>) {
        self.others.push(place);
    }

    /// What the request presents, and where; [`Found::Ambiguous`] if in two places.
    pub(crate) fn find<'r>(
        &self,
        head: &'r Parts,
        formats: &KeyFormats,
    ) -> Option<(Carrier, Found<'r>)> {
        let mut presented = self.in_headers(&head.headers);
        for place in &self.others {
            presented = both(presented, place.carrier(), place.find(head, formats));
        }
        presented
    }

    fn in_headers<'r>(&self, headers: &'r HeaderMap) -> Option<(Carrier, Found<'r>)> {
        if headers.len() <= FEW_LINES {
            self.walk(headers)
        } else {
            self.look_up(headers)
        }
    }

    /// One walk through all headers. A name that stands there twice is come by twice.
    fn walk<'r>(&self, headers: &'r HeaderMap) -> Option<(Carrier, Found<'r>)> {
        let mut line: Option<&HeaderValue> = None;
        let mut presented = None;
        for (name, value) in headers {
            if self.bearer && *name == AUTHORIZATION {
                if line.replace(value).is_some() {
                    presented = Some((Carrier::Bearer, Found::Ambiguous));
                }
            } else if self.headers.contains(name) {
                presented = both(presented, Carrier::Header, header::read(value));
            }
        }
        match line {
            None => presented,
            Some(line) => both(presented, Carrier::Bearer, bearer::read(line)),
        }
    }

    fn look_up<'r>(&self, headers: &'r HeaderMap) -> Option<(Carrier, Found<'r>)> {
        let bearer = self.bearer.then(|| bearer::find(headers));
        let presented = bearer.and_then(|found| both(None, Carrier::Bearer, found));
        self.headers.iter().fold(presented, |presented, name| {
            both(presented, Carrier::Header, header::find(headers, name))
        })
    }

    /// Takes the key of an admitted request out of it. Of the places that are not headers, only those
    /// of the `carrier` are told to, and the path: it is cleaned wherever the key stood, since a
    /// look-alike in it is no less a leak.
    pub(crate) fn strip(
        &self,
        head: &mut Parts,
        carrier: Carrier,
        remove: impl Fn(&mut Parts, &dyn ExtractKey),
    ) {
        match carrier {
            Carrier::Bearer if self.bearer => Bearer::remove(&mut head.headers),
            Carrier::Header => self.clear_headers(head),
            _ => {}
        }
        for place in &self.others {
            if place.carrier() == carrier || place.carrier() == Carrier::Path {
                remove(head, &**place);
            }
        }
    }

    /// Takes every key out of a refused request, and tells where one was.
    pub(crate) fn clear(
        &self,
        head: &mut Parts,
        formats: &KeyFormats,
        remove: impl Fn(&mut Parts, &dyn ExtractKey),
        mut was_in: impl FnMut(Carrier),
    ) {
        let may_hold = |headers: &HeaderMap, wanted: &HeaderName| {
            headers.len() > FEW_LINES || headers.keys().any(|name| name == wanted)
        };
        if self.bearer && may_hold(&head.headers, &AUTHORIZATION) {
            if bearer::find(&head.headers) != Found::Nothing {
                was_in(Carrier::Bearer);
            }
            Bearer::remove(&mut head.headers);
        }
        for name in &self.headers {
            if may_hold(&head.headers, name) && head.headers.remove(name).is_some() {
                was_in(Carrier::Header);
            }
        }
        for place in &self.others {
            if place.find(head, formats) != Found::Nothing {
                was_in(place.carrier());
            }
            remove(head, &**place);
        }
    }

    fn clear_headers(&self, head: &mut Parts) {
        for name in &self.headers {
            head.headers.remove(name);
        }
    }
}

/// What is presented, after one more place was looked at.
fn both<'r>(
    presented: Option<(Carrier, Found<'r>)>,
    carrier: Carrier,
    found: Found<'r>,
) -> Option<(Carrier, Found<'r>)> {
    match (presented, found) {
        (presented, Found::Nothing) => presented,
        (None, found) => Some((carrier, found)),
        (Some(_), _) => Some((carrier, Found::Ambiguous)),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const LINES: [(&str, &str); 8] = [
        ("authorization", "Bearer one"),
        ("authorization", "Basic x"),
        ("authorization", "bearer"),
        ("x-api-key", "one"),
        ("x-api-key", ""),
        ("x-other-key", "two"),
        ("accept", "*/*"),
        ("x-anything", "else"),
    ];

    fn places() -> Places {
        let mut places = Places::default();
        places.add_header(HeaderName::from_static("x-other-key"));
        places
    }

    fn head(lines: &[(&'static str, &'static str)]) -> Parts {
        let mut head = Request::new(()).into_parts().0;
        head.headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_static(name);
            head.headers.append(name, HeaderValue::from_static(value));
        }
        head
    }

    /// Each pair of lines, in either order.
    #[test]
    fn a_walk_and_looking_up_find_the_same() {
        let places = places();
        let mut kinds = std::collections::HashSet::new();
        for one in LINES {
            for other in LINES {
                let head = head(&[one, other]);
                let walked = places.walk(&head.headers);
                let looked_up = places.look_up(&head.headers);
                // Where they are ambiguous, which of them is named does not matter.
                let found = |presented: Option<(Carrier, Found<'_>)>| match presented {
                    Some((_, Found::Ambiguous)) => "ambiguous".to_owned(),
                    other => format!("{other:?}"),
                };
                assert_eq!(found(walked), found(looked_up), "{one:?} {other:?}");
                kinds.insert(found(walked));
            }
        }
        assert!(kinds.len() >= 5, "{kinds:?}");
    }

    #[test]
    fn two_keys_are_ambiguous_wherever_they_stand() {
        let (places, formats) = (places(), KeyFormats::default());
        for lines in [
            [LINES[0], LINES[3]],
            [LINES[3], LINES[0]],
            [LINES[0], LINES[1]],
            [LINES[2], LINES[5]],
            [LINES[3], LINES[3]],
            [LINES[3], LINES[5]],
        ] {
            let head = head(&lines);
            let found = places.find(&head, &formats).map(|(_, found)| found);
            assert!(found == Some(Found::Ambiguous), "{lines:?}");
        }
    }

    #[test]
    fn nothing_is_left_of_any_key_in_a_refused_request() {
        let (places, formats) = (places(), KeyFormats::default());
        let mut head = head(&LINES);
        let mut carriers = Vec::new();
        places.clear(
            &mut head,
            &formats,
            |_, _| {},
            |carrier| carriers.push(carrier),
        );
        assert_eq!(
            carriers,
            [Carrier::Bearer, Carrier::Header, Carrier::Header]
        );
        assert_eq!(head.headers.len(), 2);
        assert!(places.find(&head, &formats).is_none());
    }
}
