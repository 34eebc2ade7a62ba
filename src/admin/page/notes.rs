//! What the page notes of a session: a word for its next page, and which forms it has sent.

use std::collections::VecDeque;

use super::shell::Notice;

/// How many forms that must not be sent twice are remembered.
const SPENT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Notes {
    notice: Option<Notice>,
    spent: VecDeque<String>,
}

impl Notes {
    /// Leaves a word for the next page of the session.
    pub(super) fn leave(&mut self, notice: Notice) {
        self.notice = Some(notice);
    }

    /// Takes the word that was left.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// Whether a form is sent for the first time. Of too many forms the oldest are forgotten.
    pub(super) fn spend(&mut self, form: &str) -> bool {
        if self.spent.iter().any(|spent| spent == form) {
            return false;
        }
        if self.spent.len() >= SPENT {
            self.spent.pop_front();
        }
        self.spent.push_back(form.to_owned());
        true
    }

    /// Lets a form be sent again: what it asked for was not done.
    pub(super) fn unspend(&mut self, form: &str) {
        self.spent.retain(|spent| spent != form);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_sent_once_and_the_oldest_of_many_are_forgotten() {
        let mut notes = Notes::default();
        assert!(notes.spend("a") && !notes.spend("a"));
        notes.unspend("a");
        assert!(notes.spend("a"));
        for number in 0..SPENT {
            assert!(notes.spend(&number.to_string()));
        }
        assert!(notes.spend("a"), "forgotten by now");
    }
}
