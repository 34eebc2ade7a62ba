//! The programs that ask: those that have registered themselves, and those known by a document.

use std::net::IpAddr;
use std::sync::Arc;

use super::document::{Described, Documents, FetchFault};
use super::server::Server;
use crate::client_ip::AddressBucket;
use crate::key::ClientId;
use crate::manager::RegisteredClient;

/// A program that asks to be connected.
#[derive(Debug)]
pub(super) enum Client {
    Registered(RegisteredClient),
    ByDocument(ClientId, Arc<Described>),
}

/// Why a program cannot be dealt with.
#[derive(Debug)]
pub(super) enum Unfit {
    Unknown,
    Document(FetchFault),
    Unavailable,
}

impl Client {
    pub(super) fn id(&self) -> &ClientId {
        match self {
            Self::Registered(client) => &client.id,
            Self::ByDocument(id, _) => id,
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Registered(client) => client.name.as_deref(),
            Self::ByDocument(_, document) => document.name.as_deref(),
        }
    }

    /// The host of its document, if it has one.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Registered(_) => None,
            Self::ByDocument(_, document) => Some(&document.host),
        }
    }

    pub(super) fn redirect_uris(&self) -> &[String] {
        match self {
            Self::Registered(client) => &client.redirect_uris,
            Self::ByDocument(_, document) => &document.redirect_uris,
        }
    }
}

impl Server {
    /// The program with this id, asked for by somebody at an address.
    pub(super) async fn client(&self, id: &str, from: Option<IpAddr>) -> Result<Client, Unfit> {
        let parsed: ClientId = id.parse().map_err(|_| Unfit::Unknown)?;
        if let Some(documents) = &self.documents
            && Documents::host_of(id).is_some()
        {
            let known = match documents.kept(id, self.clock()) {
                Some(known) => known,
                None => {
                    self.count_fetch(from)?;
                    documents.get(id, self.clock()).await
                }
            };
            let document = known.map_err(Unfit::Document)?;
            return Ok(Client::ByDocument(parsed, document));
        }
        match self.vault().client(&parsed).await {
            Ok(Some(client)) => Ok(Client::Registered(client)),
            Ok(None) => Err(Unfit::Unknown),
            Err(_) => Err(Unfit::Unavailable),
        }
    }

    /// Whether a program is neither registered any more nor known by a document.
    pub(super) async fn has_forgotten(&self, id: &ClientId) -> bool {
        let is_by_document = self.documents.is_some() && Documents::host_of(id.as_str()).is_some();
        !is_by_document && matches!(self.vault().client(id).await, Ok(None))
    }

    /// Refuses to fetch more and more documents for one address.
    fn count_fetch(&self, from: Option<IpAddr>) -> Result<(), Unfit> {
        let Some((limit, from)) = self.fetches.as_ref().zip(from.map(AddressBucket::of)) else {
            return Ok(());
        };
        let ticks = self.clock().now().ticks;
        if limit.blocked_for(from, ticks).is_some() {
            let reason = "too many documents are asked for from your address";
            return Err(Unfit::Document(FetchFault::new(reason)));
        }
        limit.record(from, ticks);
        Ok(())
    }
}
