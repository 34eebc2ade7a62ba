//! What stands in a query or a form.

/// Names and values, in their order. Lines of a value end with a line feed alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text);
        let plain = |(name, value): (_, std::borrow::Cow<'_, str>)| {
            let name: std::borrow::Cow<'_, str> = name;
            (name.into_owned(), value.replace("\r\n", "\n"))
        };
        Self(pairs.map(plain).collect())
    }

    /// The same with other values, where `change` has another one.
    pub(super) fn with(mut self, change: impl Fn(&str) -> Option<String>) -> Self {
        for (_, value) in &mut self.0 {
            if let Some(changed) = change(value) {
                *value = changed;
            }
        }
        self
    }

    /// The first value under `name`, without white space around it; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        values.next().map_or("", |(_, value)| value.trim())
    }

    /// Whether there is a value under `name`, if only an empty one.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// [`get`](Self::get), or nothing if it is empty.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }
}

/// A query of these names and values, those that are empty left out.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        text.append_pair(name, value);
    }
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_lines_end_alike() {
        let fields = Fields::parse(b"a=1&a=2&text=+x%0D%0Ay+&e=");
        assert_eq!(fields.get("a"), "1");
        assert_eq!(fields.get("text"), "x\ny");
        assert_eq!(fields.some("e"), None);
        assert!(fields.has("e") && !fields.has("missing"));
        assert_eq!(fields.get("missing"), "");
    }

    #[test]
    fn a_query_is_read_as_it_was_written() {
        let text = query([("owner", "a&b=c é"), ("empty", ""), ("id", "+")]);
        let read = Fields::parse(text.as_bytes());
        assert_eq!(read.get("owner"), "a&b=c é");
        assert_eq!(read.get("id"), "+");
        assert!(!text.contains("empty"));
    }
}
