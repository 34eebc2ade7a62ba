//! What a handler may know of its caller.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::key::{
    Access, Carrier, Connection, CredentialId, KeyId, KeyInfo, McpRules, Metadata, OwnerId, Scope,
    ScopeSet, ServerName, Servers, Signing,
};

/// The authenticated key behind a request.
///
/// The layer inserts it into the request's extensions; only the layer can make one. It describes
/// the key as it was when the request was admitted. Cloning is cheap.
///
/// In axum it is an extractor (feature `axum`), in rmcp tools an argument (feature `rmcp`), and
/// everywhere `request.extensions().get::<KeyContext>()`.
///
/// ```
/// use mcp_api_keys::KeyContext;
///
/// fn greeting(request: &http::Request<()>) -> String {
///     match request.extensions().get::<KeyContext>() {
///         Some(key) => format!("hello, {}", key.name()),
///         None => "who are you?".to_owned(),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct KeyContext(Arc<dyn Shown>);

/// Something that knows what is shown. Whoever remembers a key keeps one anyway, so that telling
/// handlers of it takes no copy.
pub(crate) trait Shown: Send + Sync + 'static {
    /// Everything. It may have to be written out first.
    fn key(&self) -> &KeyInfo;

    /// What is asked for most.
    fn brief(&self) -> Brief<'_>;

    fn credential(&self) -> CredentialId;
    fn carrier(&self) -> Carrier;
}

/// What handlers and layers ask for most of all that may be shown of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Brief<'a> {
    pub(crate) id: KeyId,
    pub(crate) handle: &'a str,
    pub(crate) name: &'a str,
    pub(crate) owner: Option<&'a OwnerId>,
    pub(crate) servers: &'a Servers,
    pub(crate) scopes: &'a ScopeSet,
    pub(crate) access: Access,
    pub(crate) mcp: &'a McpRules,
    pub(crate) signing: Signing,
    pub(crate) connection: Option<&'a Connection>,
    pub(crate) metadata: &'a Metadata,
}

impl KeyContext {
    pub(crate) fn new(shown: Arc<dyn Shown>) -> Self {
        Self(shown)
    }

    /// What is asked for most.
    pub(crate) fn brief(&self) -> Brief<'_> {
        self.0.brief()
    }

    /// Everything that may be shown of the key. The first call writes it out, which costs more than the
    /// other methods do: those serve where they suffice.
    pub fn key(&self) -> &KeyInfo {
        self.0.key()
    }

    /// The key's permanent name.
    pub fn key_id(&self) -> KeyId {
        self.brief().id
    }

    /// The public part of the key's newest secret.
    pub fn handle(&self) -> &str {
        self.brief().handle
    }

    /// What people call the key.
    pub fn name(&self) -> &str {
        self.brief().name
    }

    /// Whom the key belongs to.
    pub fn owner(&self) -> Option<&OwnerId> {
        self.brief().owner
    }

    /// What the key may do.
    pub fn scopes(&self) -> &ScopeSet {
        self.brief().scopes
    }

    /// Whether the key may do `scope`.
    pub fn has_scope(&self, scope: &Scope) -> bool {
        self.scopes().grants(scope)
    }

    /// Whether the key may change things or only look at them.
    pub fn access(&self) -> Access {
        self.brief().access
    }

    /// Which servers the key opens.
    pub fn servers(&self) -> &Servers {
        self.brief().servers
    }

    /// Whether the key opens `server`.
    pub fn opens(&self, server: &ServerName) -> bool {
        self.servers().contains(server)
    }

    /// The key's free-form facts.
    pub fn metadata(&self) -> &Metadata {
        self.brief().metadata
    }

    /// Which of the key's secrets was presented.
    pub fn credential(&self) -> CredentialId {
        self.0.credential()
    }

    /// Where in the request the key was presented.
    pub fn carrier(&self) -> Carrier {
        self.0.carrier()
    }
}

impl fmt::Debug for KeyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyContext")
            .field("key", self.key())
            .field("credential", &self.credential())
            .field("carrier", &self.carrier())
            .finish()
    }
}

impl Serialize for KeyContext {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let key = self.key();
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("id", &key.id)?;
        map.serialize_entry("handle", &key.handle)?;
        map.serialize_entry("name", &key.name)?;
        map.serialize_entry("owner", &key.owner)?;
        map.serialize_entry("servers", &key.servers)?;
        map.serialize_entry("scopes", &key.scopes)?;
        map.serialize_entry("access", &key.access)?;
        map.serialize_entry("mcp", &key.mcp)?;
        map.serialize_entry("limits", &key.limits)?;
        map.serialize_entry("metadata", &key.metadata)?;
        map.serialize_entry("created_at", &key.created_at)?;
        map.serialize_entry("expires_at", &key.expires_at)?;
        map.serialize_entry("carrier", &self.carrier())?;
        map.end()
    }
}

#[cfg(test)]
impl<'a> Brief<'a> {
    pub(crate) fn of(info: &'a KeyInfo) -> Self {
        Self {
            id: info.id,
            handle: info.handle.as_str(),
            name: &info.name,
            owner: info.owner.as_ref(),
            servers: &info.servers,
            scopes: &info.scopes,
            access: info.access,
            mcp: &info.mcp,
            signing: info.signing,
            connection: info.connection.as_ref(),
            metadata: &info.metadata,
        }
    }
}
