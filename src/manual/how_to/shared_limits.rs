//! Limits that several processes share.
//!
//! * [What is shared, and what need not be](#what-is-shared-and-what-need-not-be)
//! * [Over Redis or Valkey](#over-redis-or-valkey)
//! * [How exact that is](#how-exact-that-is)
//! * [Fewer round trips](#fewer-round-trips)
//! * [When Redis does not answer](#when-redis-does-not-answer)
//! * [Setting Redis up](#setting-redis-up)
//! * [Sentinel and cluster](#sentinel-and-cluster)
//! * [A limiter of your own](#a-limiter-of-your-own)
//!
//! # What is shared, and what need not be
//!
//! Each process counts rate limits for itself: three processes together admit three times as much. For
//! some that will do: give keys a third of the limit. [Quotas](super::owners#quotas) are counted in the
//! store, so they hold for all processes that use it, without anything on this page. So do withdrawals.
//!
//! # Over Redis or Valkey
//!
//! With the feature `redis`:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::redis::Redis;
//! use mcp_api_keys::{ApiKeys, SignedRequestLayer, store::MemoryStore};
//!
//! let redis = Redis::connect("redis://:password@10.0.0.7:6379").await?;
//! let keys = ApiKeys::builder(MemoryStore::new()).shared_limits(redis.limiter()).build().await?;
//!
//! // Signatures that were used can be shared as well.
//! let signing = SignedRequestLayer::required().replay_guard(redis.replay_guard());
//! let layer = keys.layer().server("files").with_signing(signing);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! The gateway does both with `--redis URL`.
//!
//! An admitted request now waits for one answer of Redis. A request that costs nothing, or whose key has
//! no limits, asks nobody. Nor does one whose key is known to be over its limit: it is refused on the
//! spot, with the time that is left, and Redis is asked about that key once a second at most.
//!
//! What is refused by anything else has taken nothing: the key is judged first, asked about then, and
//! judged again after the answer. If it was withdrawn meanwhile, or a quota has run out, what was taken is
//! given back.
//!
//! # How exact that is
//!
//! All limits of one request are decided by one script on the server's clock, so however many processes
//! ask at once, what they admit together is the burst and the rate. The clocks of the processes do not
//! matter. What is *not* exact:
//!
//! * A caller who hangs up while Redis is asked has paid, though nobody served them. So has a request
//!   whose answer came too late.
//! * A connection to Redis that breaks during a call is replaced, and the call is made again; what the first
//!   has taken, if it arrived, stays taken.
//! * The [ceiling](super::super::defaults#rules-for-tools) for messages that cost nothing is counted by each
//!   process.
//! * When a replica takes over that has not heard of everything, what it missed is forgotten.
//!
//! Only the last admits more than the limit says.
//!
//! # Fewer round trips
//!
//! Where a limit need not be exact for every moment, a node can take for several requests of a busy key at
//! once, [`batches(20, 100 ms)`](crate::limit::SharedLimits::batches), and spend them without asking. The
//! gateway does it with `--redis-batch 20`. Nothing is admitted that was not charged before, so since the
//! beginning no more is admitted than the burst and the rate; a window may admit a little more, and a node may
//! refuse a little early, by bounds that stand there. Measured on two shared cores, one node, other programs
//! beside it:
//!
//! | batches of | callers | round trips for 1,000 requests | p50 of a request |
//! |---|---|---|---|
//! | 1 (exact) | 1 | 1,000 | 33 µs |
//! | 10 | 1 | 101 | 1.9 µs |
//! | 100 | 1 | 12 | 1.8 µs |
//! | 1 (exact) | 64 | 1,000 | 1.0 ms |
//! | 10 | 64 | 740 | 0.8 ms |
//! | 100 | 64 | 220 of the first 2,000 | 1.9 µs |
//!
//! So a batch should be no smaller than the requests of one key that a node serves at the same time.
//!
//! # When Redis does not answer
//!
//! The first calls that get no answer wait for 50 ms ([`patience`](crate::redis::Redis::patience)); from then
//! on no request waits. The server is looked for twice a second in the background, and asked again within
//! two seconds after it is back. One line in the log says that it went, and one that it came back. Meanwhile:
//!
//! | [`OutageMode`](crate::limit::OutageMode) | requests | choose it |
//! |---|---|---|
//! | `LocalFallback` | are limited by each process alone, from where the limit stood when the process last heard of it: *n* processes admit up to *n* times the limit | by default |
//! | `Open` | are admitted | where a limit is a courtesy |
//! | `Closed` | are refused with 503 | where one request too many costs more than an outage |
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::limit::{OutageMode, SharedLimits};
//! use mcp_api_keys::redis::Redis;
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! // Connects when it is first asked, so that a process can start without Redis.
//! let redis = Redis::open("redis://127.0.0.1/")?;
//! let limits = SharedLimits::new(redis.limiter()).outage(OutageMode::Closed);
//! let keys = ApiKeys::builder(MemoryStore::new()).shared_limits(limits).build().await?;
//! # let _ = keys;
//! # Ok(())
//! # }
//! ```
//!
//! The replay guard has a [mode of its own](crate::redis::RedisReplayGuard::outage), and is closed by default:
//! who could cut a process off from Redis could otherwise send a request again.
//!
//! # Setting Redis up
//!
//! * Redis 5 or later, or any Valkey. One server, or a name that leads to the one that takes writes.
//! * `maxmemory-policy noeviction`, or a server of its own: a limit that is evicted starts afresh. A limit in
//!   use takes some 200 bytes, a signature some 250 for ten minutes.
//! * Persistence is not needed for limits: a restart gives every key its burst, once. For signatures it is,
//!   or a request can be sent again after a restart.
//! * A [prefix](crate::redis::Redis::prefix) for each set of keys, if several share a server. A user with
//!   `~mcp-keys:* +@read +@write +@scripting +@connection +time` is enough; to tell of changes it also needs
//!   `+publish +subscribe &mcp-keys:changes` (without the last before Redis 6.2).
//! * `DEL mcp-keys:{<id of the key>}:limit:<name>` gives a key its burst again, within a second.
//! * `rediss://` for TLS, and [`open_trusting`](crate::redis::Redis::open_trusting) with an authority of your
//!   own. Redis learns ids of keys and how often they are used, and no part of a secret.
//!
//! # Sentinel and cluster
//!
//! **What is offered:** one address, which has to lead to a server that takes writes. **What is not:** this
//! client asks no Sentinel who the primary is, and follows no `MOVED` or `ASK` of a cluster.
//!
//! * **Sentinel:** put a TCP proxy before it that leads to the primary (HAProxy with a check of `INFO
//!   replication`), or a name that is moved at a failover. A server that has become a replica refuses writes;
//!   that counts as an outage, and the address is connected to anew twice a second until it takes writes.
//! * **A cluster:** put a proxy before it that speaks to one client as one server does (Envoy, or the one
//!   endpoint of a managed service). All that belongs to a key stands in one slot, so each script reaches one
//!   server. Not every proxy passes PUBLISH and SUBSCRIBE on: if it does not, that is logged once, and changes
//!   are found by polling.
//! * **A managed endpoint** (ElastiCache without cluster mode, Memorystore, Azure Cache and the like) is one
//!   address, as it should be.
//!
//! Tested are one server, one in cluster mode that has all slots, and servers that are killed, started again
//! and silent; no Sentinel and no proxy.
//!
//! # A limiter of your own
//!
//! [`SharedLimiter`](crate::limit::SharedLimiter) is two functions. The suite in `testing::limiter` tells
//! whether they are right.
