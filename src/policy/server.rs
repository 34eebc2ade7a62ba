//! A key opens only the servers it was granted.

use crate::key::{ServerName, Servers};
use crate::rejection::{Rejection, RejectionKind};

/// A layer that was given no name is open only to keys for all servers: a key for some servers
/// cannot be told to be for this one.
pub(crate) fn check_server(
    granted: &Servers,
    server: Option<&ServerName>,
) -> Result<(), Rejection> {
    let opens = match server {
        Some(server) => granted.contains(server),
        None => *granted == Servers::All,
    };
    if opens {
        Ok(())
    } else {
        Err(Rejection::new(RejectionKind::ServerDenied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_of_a_name_is_no_permission() {
        let files = "files".parse().unwrap();
        let some = Servers::only(["files"]).unwrap();
        assert!(check_server(&some, Some(&files)).is_ok());
        assert!(check_server(&some, None).is_err());
        assert!(check_server(&Servers::default(), Some(&files)).is_err());
        assert!(check_server(&Servers::All, None).is_ok());
    }
}
