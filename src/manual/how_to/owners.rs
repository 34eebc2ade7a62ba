//! Owners, plans and quotas.
//!
//! * [What an owner may do](#what-an-owner-may-do)
//! * [Admins and members](#admins-and-members)
//! * [Owners from a system of your own](#owners-from-a-system-of-your-own)
//! * [Plans](#plans)
//! * [Quotas](#quotas)
//! * [Connections](#connections)
//! * [The first keys](#the-first-keys)
//! * [When somebody leaves](#when-somebody-leaves)
//!
//! # What an owner may do
//!
//! A key names its owner. Until the owner is known that is a label. Once they are, no key of theirs reaches
//! further than they do, at any request: a key for all servers opens those of the owner, also the ones they
//! gain later, and what the owner loses every key loses, also where it is listed.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::key::{Owner, Servers};
//! use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let manager = keys.manager();
//! let ada = Owner::member("ada".parse()?).server("files".parse()?).scope("files:*".parse()?);
//! let ada = manager.put_owner(ada).await?;
//!
//! let new = NewKey::named("laptop").owner("ada").all_servers().scope("*")?;
//! let id = manager.issue(new).await?.info().id;
//! assert_eq!(manager.rights(id).await?.servers, Servers::only(["files"])?);
//!
//! // They gain a server, and the key with them. What was read is stored anew.
//! manager.put_owner(ada.server("mail".parse()?)).await?;
//! assert_eq!(manager.rights(id).await?.servers, Servers::only(["files", "mail"])?);
//! assert_eq!(manager.get(id).await?.servers, Servers::All); // the record stays as it was
//!
//! // None of their keys work, until they do again.
//! manager.suspend_owner(&"ada".parse()?).await?;
//! manager.resume_owner(&"ada".parse()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! mcp-keys owner set ada --server files --scope 'files:*'
//! mcp-keys owner set ada --server files --server mail
//! mcp-keys show ATgKlpEa            # the record, and what is in force at present
//! mcp-keys owner suspend ada
//! ```
//!
//! Define the owner before the keys: a key whose owner nobody has defined is bounded by its record alone.
//! [`known_owners_only`](crate::ApiKeysBuilder::known_owners_only) refuses such keys. While an owner has a key
//! that is not revoked they cannot be removed.
//!
//! # Admins and members
//!
//! An admin manages all keys, a member their own. [`principal_of`](crate::KeyManager::principal_of) makes
//! of an owner whoever acts, and [`by_key`](crate::Principal::by_key) holds them to the key that they act by:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::{ApiKeys, Error, IssuedKey, KeyContext, NewKey, store::MemoryStore};
//!
//! /// Behind the key layer: makes a key for whoever calls.
//! async fn another(keys: &ApiKeys, caller: &KeyContext, name: &str) -> Result<IssuedKey, Error> {
//!     let nobody = || Error::invalid("owner", "is missing");
//!     let owner = caller.owner().ok_or_else(nobody)?;
//!     let principal = keys.manager().principal_of(owner).await?.by_key(caller);
//!     keys.manager().acting_as(principal).issue(NewKey::named(name).owner(owner.as_str())).await
//! }
//!
//! // Members may look at their keys and change nothing, if you say so.
//! let keys = ApiKeys::builder(MemoryStore::new()).only_admins_change_keys(true).build().await?;
//! # let _ = (keys, another);
//! # Ok(())
//! # }
//! ```
//!
//! # Owners from a system of your own
//!
//! Implement [`OwnerDirectory`](crate::rights::OwnerDirectory) over your user database, and give it to
//! [`owner_directory`](crate::ApiKeysBuilder::owner_directory). Say how long its answers hold, or call
//! [`owner_changed`](crate::ApiKeys::owner_changed) on every node. A directory that does not answer is a 503 for
//! the keys that are to be judged anew, and no freedom.
//!
//! # Plans
//!
//! Limits that many keys share, each counted for the key alone. `free` (10 a minute), `standard` (60) and
//! `professional` (300) are there from the start. A limit of the key's own replaces the plan's of the same
//! name, and a change of the plan reaches its keys at once.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::key::{Plan, Quota, RateLimit};
//! use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let enterprise = Plan::new("enterprise".parse()?)
//!     .rate(RateLimit::per_minute(5_000))
//!     .quota(Quota::per_month(10_000_000));
//! keys.manager().put_plan(enterprise).await?;
//!
//! let new = NewKey::named("acme").server("files").plan("enterprise").rate(RateLimit::per_minute(9_000));
//! let id = keys.manager().issue(new).await?.info().id;
//! let rights = keys.manager().rights(id).await?;
//! assert_eq!(rights.limits, [RateLimit::per_minute(9_000)]);
//! assert_eq!(rights.quotas, [Quota::per_month(10_000_000)]);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! mcp-keys plan set enterprise --rate 5000/min --quota 10000000/month
//! mcp-keys create --name acme --server files --plan enterprise --rate 9000/min
//! ```
//!
//! # Quotas
//!
//! A rate limit spreads use evenly and lives in the memory of one process. A quota is a budget by the
//! calendar (UTC): it may be used up at once, is whole again when the next day or month begins, and is
//! counted in the store, so that it holds over restarts and for all processes together. Processes take a
//! hundredth of it at a time, so what [`quotas`](crate::KeyManager::quotas) tells may be that much ahead of
//! what was used. Beyond it the answer is 429 with `quota_exceeded`.
//!
//! When a process ends in order, [`flush`](crate::ApiKeys::flush) gives back what it holds and writes down
//! the last uses. The gateway does that.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::key::Quota;
//! use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let new = NewKey::named("trial").server("files").quota(Quota::per_day(1_000));
//! let id = keys.manager().issue(new).await?.info().id;
//!
//! // A report costs as much as twenty requests.
//! let reports = keys.layer().server("files").cost(20);
//!
//! keys.flush().await?;
//! assert_eq!(keys.manager().quotas(id).await?[0].used, 0);
//! # let _ = reports;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! mcp-keys update ATgKlpEa --quota 1000/day --quota tokens=50000/month
//! mcp-keys usage ATgKlpEa
//! ```
//!
//! # Connections
//!
//! A connection is the key of one program that acts for one owner. It may do the least of three: what it
//! was granted, what the owner may do, and what the owner's role lets connections do. Those of members are
//! read-only; an admin's have the access that was chosen.
//!
//! ```text
//! mcp-keys create --name 'desktop assistant' --owner ada --client claude --all-servers --scope '*'
//! mcp-keys connections --owner ada
//! mcp-keys disconnect ATgKlpEa
//! ```
//!
//! The key above lives until it is withdrawn. [`KeyManager::connect`](crate::KeyManager::connect) makes
//! connections for programs that speak OAuth: an access token that ends after an hour, and a refresh token
//! for the next one ([`renew`](crate::KeyManager::renew)). One that is left unused for 30 days ends by itself.
//! A refresh token that is presented twice was stolen, from the program or by it: the connection is revoked,
//! and `mcp-keys audit` shows it as `reused`.
//!
//! # The first keys
//!
//! [`bootstrap`](crate::KeyManager::bootstrap) makes the first admin and their key,
//! [`ensure_default_key`](crate::KeyManager::ensure_default_key) a server's key with full access to it. Of many
//! processes that start at once one gets the key, and the others learn that it was made.
//!
//! ```text
//! mcp-keys bootstrap ada
//! mcp-keys --json default-key files | jq -r 'select(.created) | .key'
//! ```
//!
//! # When somebody leaves
//!
//! ```text
//! mcp-keys owner suspend ada                                      # at once, and to be undone
//! mcp-keys revoke --owner ada --reason 'left the company' --yes   # for good, key by key in the trail
//! mcp-keys owner remove ada
//! mcp-keys audit --key owner:ada
//! ```
//!
//! [`revoke_all`](crate::KeyManager::revoke_all) does the same for a server that was broken into, or for all
//! keys made before a leak. [`safety`](crate::KeyManager::safety) finds those that ought to go: without an
//! end, without limits, without bounds, or not used for long.
