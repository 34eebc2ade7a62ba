//! A key opens only the servers it was granted.

use crate::key::{ServerName, Servers};
use crate::rejection::{Rejection, RejectionKind};

/// What is asked of a key about servers.
#[derive(Clone, Debug)]
pub(crate) enum ServerRule {
    /// Nobody said which server this is. Open only to keys for all servers: a key for some servers
    /// cannot be told to be for this one.
    Unnamed,
    /// The key must open this server.
    Named(ServerName),
    /// Nothing is asked: what stands here belongs to no server.
    Any,
}

impl ServerRule {
    /// The server, if it has a name.
    pub(crate) fn name(&self) -> Option<&ServerName> {
        match self {
            Self::Named(server) => Some(server),
            Self::Unnamed | Self::Any => None,
        }
    }

    /// Checks the servers that a key was granted.
    pub(crate) fn check(&self, granted: &Servers) -> Result<(), Rejection> {
        let opens = match self {
            Self::Unnamed => *granted == Servers::All,
            Self::Named(server) => granted.contains(server),
            Self::Any => true,
        };
        if opens {
            Ok(())
        } else {
            Err(Rejection::new(RejectionKind::ServerDenied))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_of_a_name_is_no_permission() {
        let files = ServerRule::Named("files".parse().unwrap());
        let some = Servers::only(["files"]).unwrap();
        assert!(files.check(&some).is_ok());
        assert!(files.check(&Servers::default()).is_err());
        assert!(ServerRule::Unnamed.check(&some).is_err());
        assert!(ServerRule::Unnamed.check(&Servers::All).is_ok());
        assert!(ServerRule::Any.check(&Servers::default()).is_ok());
    }
}
