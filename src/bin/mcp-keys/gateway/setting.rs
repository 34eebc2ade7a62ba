//! A setting with its name, so that what is wrong with it can be said in the words it was written in.

use std::path::PathBuf;

use super::Error;

/// A value, and what to call it when it turns out to be wrong.
#[derive(Clone, Debug)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) name: String,
}

impl<T> Setting<T> {
    /// What to say of a value that cannot be.
    pub(super) fn wrong(&self, reason: impl std::fmt::Display) -> Error {
        Error::Usage(format!("{}: {reason}", self.name))
    }

    pub(super) fn parse<U, E: std::fmt::Display>(
        self,
        parse: impl FnOnce(&T) -> Result<U, E>,
    ) -> Result<Setting<U>, Error> {
        match parse(&self.value) {
            Ok(value) => Ok(Setting {
                value,
                name: self.name,
            }),
            Err(reason) => Err(self.wrong(reason)),
        }
    }
}

impl Setting<String> {
    /// Like [`parse`](Self::parse), for a reason that reads on from the value.
    pub(super) fn read<U, E: std::fmt::Display>(
        self,
        read: impl FnOnce(&str) -> Result<U, E>,
    ) -> Result<Setting<U>, Error> {
        self.parse(|text| read(text).map_err(|reason| format!("{text:?} {reason}")))
    }
}

/// Where settings come from, for their names.
pub(super) struct Merge {
    pub(super) path: Option<PathBuf>,
}

impl Merge {
    pub(super) fn pick_list<T>(
        &self,
        name: &str,
        flags: Vec<T>,
        file: Option<Vec<T>>,
    ) -> Vec<Setting<T>> {
        self.list(&flag(name), name, flags, file)
    }

    pub(super) fn list<T>(
        &self,
        flag: &str,
        field: &str,
        flags: Vec<T>,
        file: Option<Vec<T>>,
    ) -> Vec<Setting<T>> {
        let (values, name) = if flags.is_empty() {
            (file.unwrap_or_default(), self.field(field))
        } else {
            (flags, flag.to_owned())
        };
        let named = |value| Setting {
            value,
            name: name.clone(),
        };
        values.into_iter().map(named).collect()
    }

    pub(super) fn pick<T>(
        &self,
        name: &str,
        given: Option<T>,
        file: Option<T>,
    ) -> Option<Setting<T>> {
        let (value, name) = match (given, file) {
            (Some(value), _) => (value, flag(name)),
            (None, Some(value)) => (value, self.field(name)),
            (None, None) => return None,
        };
        Some(Setting { value, name })
    }

    pub(super) fn field(&self, name: &str) -> String {
        match &self.path {
            Some(path) => format!("`{name}` in {}", path.display()),
            None => format!("`{name}`"),
        }
    }
}

fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

pub(super) fn missing(flag: &str, what: &str) -> Error {
    Error::Usage(format!("{flag} is missing: {what}"))
}
