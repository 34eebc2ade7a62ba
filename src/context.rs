//! What a handler may know of its caller.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::key::{
    Access, Carrier, CredentialId, KeyId, KeyInfo, Metadata, OwnerId, Scope, ScopeSet, ServerName,
    Servers,
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
    fn key(&self) -> &KeyInfo;
    fn credential(&self) -> CredentialId;
    fn carrier(&self) -> Carrier;
}

impl KeyContext {
    pub(crate) fn new(shown: Arc<dyn Shown>) -> Self {
        Self(shown)
    }

    /// Everything that may be shown of the key.
    pub fn key(&self) -> &KeyInfo {
        self.0.key()
    }

    /// The key's permanent name.
    pub fn key_id(&self) -> KeyId {
        self.key().id
    }

    /// The public part of the key's newest secret.
    pub fn handle(&self) -> &str {
        self.key().handle.as_str()
    }

    /// What people call the key.
    pub fn name(&self) -> &str {
        &self.key().name
    }

    /// Whom the key belongs to.
    pub fn owner(&self) -> Option<&OwnerId> {
        self.key().owner.as_ref()
    }

    /// What the key may do.
    pub fn scopes(&self) -> &ScopeSet {
        &self.key().scopes
    }

    /// Whether the key may do `scope`.
    pub fn has_scope(&self, scope: &Scope) -> bool {
        self.key().scopes.grants(scope)
    }

    /// Whether the key may change things or only look at them.
    pub fn access(&self) -> Access {
        self.key().access
    }

    /// Which servers the key opens.
    pub fn servers(&self) -> &Servers {
        &self.key().servers
    }

    /// Whether the key opens `server`.
    pub fn opens(&self, server: &ServerName) -> bool {
        self.key().servers.contains(server)
    }

    /// The key's free-form facts.
    pub fn metadata(&self) -> &Metadata {
        &self.key().metadata
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
