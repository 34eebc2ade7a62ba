//! Whose sessions and tasks are.

use crate::context::Brief;
use crate::key::{Connection, KeyId, OwnerId};

/// What stands for whoever holds sessions and tasks: the key, or of a connection the program and the
/// person who lets it in.
///
/// A program that is refused for want of a right has its person let it in anew, and comes back with
/// another key in the midst of a session.
pub(super) fn holder(key: &Brief<'_>) -> KeyId {
    stands_for(key.id, key.owner, key.connection)
}

fn stands_for(id: KeyId, owner: Option<&OwnerId>, connection: Option<&Connection>) -> KeyId {
    match (owner, connection) {
        (Some(owner), Some(connection)) => {
            KeyId::of_the_one(&format!("sessions\0{owner}\0{}", connection.client))
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(id: u128, owner: Option<&str>, client: Option<&str>) -> KeyId {
        let owner: Option<OwnerId> = owner.map(|owner| owner.parse().unwrap());
        let connection = client.map(|client| Connection::new(client.parse().unwrap()));
        stands_for(KeyId::from_u128(id), owner.as_ref(), connection.as_ref())
    }

    #[test]
    fn a_program_holds_what_it_began_for_a_person_by_any_connection() {
        let first = held_by(1, Some("ada"), Some("claude"));
        assert_eq!(held_by(2, Some("ada"), Some("claude")), first);
        for (owner, client) in [("bob", "claude"), ("ada", "chatgpt"), ("adac", "laude")] {
            assert_ne!(held_by(1, Some(owner), Some(client)), first);
        }
        assert_ne!(held_by(1, Some("ada"), None), first);
    }

    #[test]
    fn a_key_holds_what_it_began_by_itself() {
        for (owner, client) in [(None, None), (Some("ada"), None), (None, Some("claude"))] {
            assert_eq!(held_by(7, owner, client), KeyId::from_u128(7));
        }
    }
}
