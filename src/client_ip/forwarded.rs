//! The `Forwarded` field of RFC 7239, read as a whole.
//!
//! 1. All lines are joined before anything is cut: commas and semicolons inside of quotes separate
//!    nothing.
//! 2. The grammar is the one of section 4. White space stands around commas only; a parameter
//!    stands at most once in an element; names are case-insensitive.
//! 3. A syntax error anywhere spoils the whole field.
//! 4. An element without a `for`, or with one that is no address, is an entry without address. It
//!    counts where the walk meets it, and not left of the client.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap};

use super::entry::node_address;

/// More parameters than this in one element are taken for an attack: comparing their names is
/// quadratic. Four are registered.
const MAX_PARAMETERS: usize = 16;

/// The field does not follow the grammar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// All lines of the field as one.
pub(super) fn field(headers: &HeaderMap) -> Cow<'_, [u8]> {
    let mut lines = headers
        .get_all(FORWARDED)
        .iter()
        .map(|line| line.as_bytes());
    let mut field = Cow::Borrowed(lines.next().unwrap_or_default());
    for line in lines {
        let joined = field.to_mut();
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line);
    }
    field
}

/// The address in each element, from left to right.
pub(super) fn addresses(field: &[u8]) -> Result<Vec<Option<IpAddr>>, Malformed> {
    let mut cursor = Cursor { rest: field };
    let mut addresses = Vec::new();
    loop {
        cursor.skip_white_space();
        if !matches!(cursor.peek(), None | Some(b',')) {
            addresses.push(cursor.element()?);
            cursor.skip_white_space();
        }
        match cursor.next() {
            Some(b',') => {}
            None => return Ok(addresses),
            Some(_) => return Err(Malformed),
        }
    }
}

/// What is not read yet.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// `[ pair ] *( ";" [ pair ] )`
    fn element(&mut self) -> Result<Option<IpAddr>, Malformed> {
        let mut address = None;
        let mut names: Vec<&[u8]> = Vec::new();
        loop {
            if self.peek().is_some_and(is_token_byte) {
                let (name, value) = self.pair()?;
                if names.len() == MAX_PARAMETERS
                    || names.iter().any(|seen| seen.eq_ignore_ascii_case(name))
                {
                    return Err(Malformed);
                }
                names.push(name);
                if name.eq_ignore_ascii_case(b"for") {
                    address = node_address(&value);
                }
            }
            if !self.eat(b';') {
                return Ok(address);
            }
        }
    }

    /// `token "=" ( token / quoted-string )`
    fn pair(&mut self) -> Result<(&'a [u8], Cow<'a, [u8]>), Malformed> {
        let name = self.token()?;
        if !self.eat(b'=') {
            return Err(Malformed);
        }
        let value = if self.eat(b'"') {
            self.quoted_rest()?
        } else {
            Cow::Borrowed(self.token()?)
        };
        Ok((name, value))
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        match self.take_while(is_token_byte) {
            [] => Err(Malformed),
            token => Ok(token),
        }
    }

    /// A quoted string after its opening quote, without the closing one and with its escapes
    /// resolved.
    fn quoted_rest(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let mut text = Cow::Borrowed(self.take_while(is_quotable));
        loop {
            match self.next() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => {
                    let escaped = self
                        .next()
                        .filter(|&byte| is_escapable(byte))
                        .ok_or(Malformed)?;
                    text.to_mut().push(escaped);
                    text.to_mut()
                        .extend_from_slice(self.take_while(is_quotable));
                }
                _ => return Err(Malformed),
            }
        }
    }

    fn skip_white_space(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self
            .rest
            .iter()
            .position(|&byte| !accept(byte))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn eat(&mut self, expected: u8) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.next();
        }
        found
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_quotable(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\') && is_escapable(byte)
}

fn is_escapable(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn read(field: &str) -> Result<Vec<Option<IpAddr>>, Malformed> {
        addresses(field.as_bytes())
    }

    #[test]
    fn the_grammar_is_understood_in_full() {
        for text in [
            "for=203.0.113.7",
            "For=203.0.113.7",
            "FOR=\"203.0.113.7\"",
            "for=\"203.0.113.7:47011\"",
            "for=\"203.0.113.7:_hidden\"",
            "for=\"[::ffff:203.0.113.7]:80\"",
            "for=\"203.0.113\\.7\"",
            "for=\"\\2\\0\\3.0.113.7\"",
            "proto=https;for=203.0.113.7;by=_x",
            ";for=203.0.113.7",
            "for=203.0.113.7;",
            ";;for=203.0.113.7;;by=b;",
            " \tfor=203.0.113.7\t ",
            ",for=203.0.113.7",
            "for=203.0.113.7, ,\t,",
            "for=203.0.113.7;by=\"\"",
            "for=203.0.113.7;by=\"a, for=6.6.6.6;by=b\"",
            "by=\"\\\"\";for=203.0.113.7",
            "by=\"\\\\\";for=203.0.113.7",
            "for=203.0.113.7;host=\"é\t \"",
            "for=203.0.113.7;!#$%&'*+-.^_`|~0aZ=~",
            "for=203.0.113.7;host=\"example.com:80\";secret=\"\\é\"",
            "for=203.0.113.7;four=6.6.6.6",
        ] {
            assert_eq!(read(text), Ok(vec![ip("203.0.113.7")]), "{text}");
        }
    }

    #[test]
    fn a_list_keeps_its_order_and_drops_empty_elements() {
        let list =
            read("for=192.0.2.43, ,for=\"[2001:db8::17]\" ,\tfor=unknown,for=_x;by=b,by=b,;");
        assert_eq!(
            list,
            Ok(vec![
                ip("192.0.2.43"),
                ip("2001:db8::17"),
                None,
                None,
                None,
                None
            ])
        );
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read(" , ,, \t"), Ok(vec![]));
    }

    #[test]
    fn a_node_that_is_no_address_is_no_syntax_error() {
        for node in [
            "unknown",
            "_hidden",
            "300.1.1.1",
            "\"\"",
            "\"2001:db8::7\"",
            "\"[fe80::1%eth0]\"",
            "\"é\"",
        ] {
            assert_eq!(read(&format!("for={node}")), Ok(vec![None]), "{node}");
        }
    }

    #[test]
    fn a_syntax_error_anywhere_spoils_the_field() {
        for broken in [
            "for",
            "for=",
            "=",
            "=x",
            "for=\"",
            "for=\"203.0.113.7",
            "for=\"203.0.113.7\\\"",
            "for=\"203.0.113.7\\",
            "for =203.0.113.7",
            "for= 203.0.113.7",
            "for = 203.0.113.7",
            "for=203.0.113.7 ;by=b",
            "for=203.0.113.7; by=b",
            "for=203.0.113.7 by=b",
            "for=203.0.113.7:80",
            "for=[2001:db8::7]",
            "for=2001:db8::7",
            "for=203.0.113.7\"",
            "for=\"203.0.113.7\"x",
            "for=\"203.0.113.7\"\"\"",
            "for==203.0.113.7",
            "for:203.0.113.7",
            "203.0.113.7",
            "for=é",
            "fór=203.0.113.7",
            "for=203.0.113.7;for=203.0.113.8",
            "for=203.0.113.7;For=203.0.113.7",
            "for=203.0.113.7;x=1;X=2",
            "for=203.0.113.7/24",
            "for='203.0.113.7:80'",
            "for=(203.0.113.7)",
            "for=\"a\u{1}\"",
            "for=\"\\\u{7f}\"",
            "for=203.0.113.7;x=\n",
            "for=6.6.6.6;by=\"a, for=203.0.113.7;by=\"b\"",
        ] {
            for field in [
                broken.to_owned(),
                format!("{broken}, for=203.0.113.7"),
                format!("for=203.0.113.7, {broken}"),
            ] {
                assert_eq!(read(&field), Err(Malformed), "{field:?}");
            }
        }
    }

    #[test]
    fn an_element_with_too_many_parameters_is_malformed() {
        let element = |count: usize| {
            (0..count)
                .map(|n| format!("p{n}=x"))
                .collect::<Vec<_>>()
                .join(";")
        };
        assert_eq!(read(&element(16)), Ok(vec![None]));
        assert_eq!(read(&element(17)), Err(Malformed));
    }

    #[test]
    fn lines_are_joined_before_they_are_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(*field(&headers), *b"");
        for line in ["for=6.6.6.6;by=\"a", "for=203.0.113.7;by=\"b\""] {
            headers.append(FORWARDED, HeaderValue::from_static(line));
        }
        assert_eq!(
            *field(&headers),
            *b"for=6.6.6.6;by=\"a, for=203.0.113.7;by=\"b\""
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused_without_panic(
            field in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..64),
                r#"(for|by|[;,="\\ \t]|\[::1\]|203\.0\.113\.7|:80|é){0,16}"#
                    .prop_map(String::into_bytes),
            ],
        ) {
            let _ = addresses(&field);
        }

        #[test]
        fn a_quoted_text_is_read_back_whatever_it_holds(text in "[\t -~é]{0,24}") {
            let escaped: String = text.chars().flat_map(|char| {
                matches!(char, '"' | '\\').then_some('\\').into_iter().chain([char])
            }).collect();
            let field = format!("for=203.0.113.7;by=\"{escaped}\", for=\"[::1]\"");
            prop_assert_eq!(read(&field), Ok(vec![ip("203.0.113.7"), ip("::1")]));
        }
    }
}
