//! Many nodes behind a load balancer: what to set up, and what each outage does.
//!
//! * [What nodes have in common](#what-nodes-have-in-common)
//! * [Word over Redis](#word-over-redis)
//! * [The load balancer](#the-load-balancer)
//! * [Health checks](#health-checks)
//! * [What each outage does](#what-each-outage-does)
//! * [Failover, restoring, clocks](#failover-restoring-clocks)
//! * [See it](#see-it)
//!
//! A node is a process with an [`ApiKeys`](crate::ApiKeys), or a gateway (`mcp-keys serve`). How much a node
//! and its servers carry is in [capacity](super::super::capacity).
//!
//! # What nodes have in common
//!
//! | what | library | gateway | without it |
//! |---|---|---|---|
//! | the keys | one database: [`PostgresStore`](crate::store::PostgresStore) | `MCP_KEYS_STORE` | they are different sets of keys |
//! | the pepper | [`pepper`](crate::ApiKeysBuilder::pepper), the same in all | `MCP_KEYS_PEPPER` | keys that another node tagged cost the slow hash, or are refused if only a pepper proves them |
//! | rate limits | [`shared_limits`](crate::ApiKeysBuilder::shared_limits) | `MCP_KEYS_REDIS` | *n* nodes admit *n* times the limit |
//! | quotas | nothing: they are counted in the store | nothing | |
//! | used signatures | a replay guard over Redis | `MCP_KEYS_REDIS`, with `--sign-replay-guard` | a request may be sent again once to each node |
//! | MCP sessions and tasks | the secret of [`McpLayer`](crate::layer::McpLayer) | `MCP_KEYS_SESSION_SECRET` | a session that one node began is unknown on the others |
//!
//! # Word over Redis
//!
//! PostgreSQL tells nodes of changes by itself. A SQLite file that several processes of a machine use does
//! not, nor does PostgreSQL behind a pooler in transaction mode: changes are found at the next poll then.
//! With Redis they are heard of at once:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::redis::Redis;
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let redis = Redis::connect("redis://127.0.0.1/").await?;
//! let store = MemoryStore::new(); // Or any other.
//! let keys = ApiKeys::builder(redis.announcing(store)).build().await?;
//! # let _ = keys;
//! # Ok(())
//! # }
//! ```
//!
//! Gateways do it with `--redis`, whichever store they have, and other commands of `mcp-keys` when
//! `MCP_KEYS_REDIS` is set. A word says nothing but that something has changed. A write waits for it 50 ms at
//! most (a command: a second), not at all while Redis is known to be away, and never fails for it; a word
//! that is lost costs the time until the next poll. Two processes on one SQLite file: refused 7 ms after the
//! revocation, 11 ms at the 99th percentile. See [`Announced`](crate::redis::Announced).
//!
//! # The load balancer
//!
//! **Keys need no stickiness.** Any node judges any key, and each of them caches what it has seen: a key in
//! use is looked up once on every node. If there are more keys in use than
//! [`cached_keys`](crate::ApiKeysBuilder::cached_keys), choosing the node by a hash of the `Authorization`
//! header makes the caches hold more together; it is a saving, nothing depends on it.
//!
//! **MCP sessions may need it.** If the server behind keeps sessions in its memory, requests of a session
//! have to reach *that server*: choose by `Mcp-Session-Id`. The nodes themselves need the same session
//! secret, and no stickiness then.
//!
//! Tell the nodes about the balancer: [`ClientIp`](crate::client_ip::ClientIp) with its networks, or
//! `--trusted-proxy`. Otherwise all callers have its address, and network rules and the failure limit judge
//! that. Let it neither buffer nor cut streams, and let it not log the header `Authorization`.
//!
//! # Health checks
//!
//! `/healthz` of the gateway needs no key and says that the process serves. It does not ask the store, on
//! purpose: while the database is away, all nodes would fail their check at once, though each of them still
//! serves the keys that it knows. Do not take a node out for its 503 answers either, for the same reason;
//! watch their share, and the line `the key store does not answer` in the log.
//!
//! A node that is told to end (`SIGTERM`) finishes what it has begun and writes down the last uses of keys.
//! Take it out of the balancer first.
//!
//! # What each outage does
//!
//! With the defaults: a poll every 2 seconds (a gateway: every second), 1 second for its answer, 60 seconds of
//! `max_stale`. Tests hold the crate to these bounds; what they measured is in brackets, on two shared cores.
//!
//! | what fails | what callers see | how long at most |
//! |---|---|---|
//! | nothing | a revocation holds on the node that made it when the call returns, and on the others when the word arrives | 100 ms at the 99th percentile (21 ms; half of them within 8 ms) |
//! | the word is lost: the listening connection is killed, or half open | the next poll finds the change | 2.5 s (2.0 s) |
//! | connections of the pool are half open | a new key gets 503 once, then works; known keys do not notice | 5 s (2.1 s) |
//! | the database is away | known keys work, new ones get 503 with `Retry-After`; nobody gets 401. What was withdrawn shortly before may go on | `max_stale` after the last answer; then every key gets 503 |
//! | the database is back | all is well | 1 s where connections were refused (0.3 s); 2.5 s where they were silent (0.2 s): what waits has to give up first |
//! | the database was killed and starts again | as when it is away. What was acknowledged is there, what was under way is there as a whole or not at all | as above (0.1 s after its start) |
//! | Redis is away | as its [mode](crate::limit::OutageMode) says; the first requests wait 50 ms | 2 s after it is back |
//! | a node is killed | its requests break. Uses of keys since it last wrote them down, a few seconds, are lost, and what it held of quotas | |
//! | a node is cut off from everything but its callers | as when the database is away, for its callers | `max_stale` |
//!
//! A shorter [`max_stale`](crate::ApiKeysBuilder::max_stale) bounds what a cut-off node may still admit; a
//! longer one survives longer outages. The minimum is twice the interval and its time-out.
//!
//! A manager's call that fails with `Unavailable` may have been carried out. Look before you repeat an issue or
//! a rotation; revoking, disabling and deleting can be repeated as they are.
//!
//! # Failover, restoring, clocks
//!
//! **Failover.** Let the address of the store lead to whichever server takes writes. A node reconnects by
//! itself, does not trust a server that only reads, and reads the log from where it stood. Acknowledged
//! changes survive if the standby had them: set `synchronous_standby_names`. With an asynchronous standby the
//! last changes may be gone, as after the restoring of a backup.
//!
//! **Restoring a backup.** Nodes see that the log is not the one they have read, within a poll, and read every
//! key again. A key that was issued after the backup is admitted nowhere from then on, cached or not. But a key
//! that was *revoked* after the backup is good again, since the store says so: revoke it again.
//!
//! **Clocks.** Expiry, and the end of a rotation's window, follow the wall clock of the node that judges; keep
//! NTP running. A clock that jumps by a day expires keys too early or too late on that node until it is set
//! right, and touches neither rate limits, nor how long known keys are trusted: these are measured in
//! monotonic time. Shared limits follow the clock of Redis.
//!
//! # See it
//!
//! The example `fleet` starts two gateways over your PostgreSQL and Redis, shares a limit between them and
//! revokes a key while both serve it:
//!
//! ```text
//! limit 60: 60 of 120 requests admitted, 33 by gateway 1 and 27 by gateway 2
//! revoke asked at 0.0 ms, returned at 29.9 ms
//! gateway 1 last admitted what was sent at 58.1 ms, first refused what was sent at 58.1 ms
//! gateway 2 last admitted what was sent at 57.2 ms, first refused what was sent at 57.8 ms
//! ```
