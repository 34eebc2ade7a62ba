//! Numbers for names.

use std::collections::HashMap;
use std::sync::Arc;

/// A bounded list of names, numbered in their order.
#[derive(Debug)]
pub(super) struct Names {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    most: usize,
}

impl Names {
    pub(super) fn new(most: usize) -> Self {
        Self {
            texts: Vec::new(),
            numbers: HashMap::new(),
            most,
        }
    }

    /// The number of a name that is in the list.
    pub(super) fn known(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The number of a name, which is added if there is room.
    pub(super) fn number(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.known(name) {
            return Some(number);
        }
        let number = u32::try_from(self.texts.len()).ok()?;
        if self.texts.len() >= self.most {
            return None;
        }
        let text: Arc<str> = name.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        Some(number)
    }

    /// The name with this number.
    pub(super) fn text(&self, number: u32) -> Option<Arc<str>> {
        self.texts.get(usize::try_from(number).ok()?).cloned()
    }
}
