//! The parameters of a request, from a query or a form.
//!
//! A parameter without a value counts as left out, and none may be there twice (RFC 6749, 3.1).

/// More than any request has.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

/// That a parameter stands there more than once, or that there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

impl Params {
    pub(super) fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text).take(MOST + 1);
        let owned = pairs.map(|(name, value)| (name.into_owned(), value.into_owned()));
        Self(owned.collect())
    }

    /// The value of a parameter.
    ///
    /// # Errors
    ///
    /// If it stands there twice, with a value or without.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Ok(Some(value.as_str()).filter(|text| !text.is_empty())),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Repeated),
        }
    }

    /// The value of a parameter that is known not to be repeated.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.one(name).ok().flatten()
    }

    /// # Errors
    ///
    /// If any parameter stands there twice.
    pub(super) fn check_each_once(&self) -> Result<(), Repeated> {
        if self.0.len() > MOST {
            return Err(Repeated);
        }
        self.0
            .iter()
            .try_for_each(|(name, _)| self.one(name).map(|_| ()))
    }
}

/// Pairs as a query or form has them.
pub(super) fn encoded<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_twice_and_empty_is_absent() {
        let params = Params::parse(b"a=1&b=&c=x%20y+z&d=1&d=1");
        assert_eq!(params.one("a"), Ok(Some("1")));
        assert_eq!(params.one("b"), Ok(None));
        assert_eq!(params.one("c"), Ok(Some("x y z")));
        assert_eq!(params.one("d"), Err(Repeated));
        assert_eq!(params.one("e"), Ok(None));
        assert_eq!(params.check_each_once(), Err(Repeated));
        assert_eq!(Params::parse(b"a=1&b=").check_each_once(), Ok(()));
        assert_eq!(Params::parse(b"a=&a=1").check_each_once(), Err(Repeated));
        let many: String = (0..=MOST).map(|n| format!("n{n}=1&")).collect();
        assert_eq!(
            Params::parse(many.as_bytes()).check_each_once(),
            Err(Repeated)
        );
    }
}
