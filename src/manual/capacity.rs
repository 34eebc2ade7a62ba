//! How much one node, one PostgreSQL and one Redis carry, and how far that reaches.
//!
//! The figures were measured on **two shared virtual cores (AMD EPYC)** on which the node, its callers,
//! PostgreSQL 15 and Redis ran together, with a build for tests (optimisation level 1) and other programs
//! beside them. So they are low, and good for proportions. Measure on your own machines:
//! `MCP_KEYS_LONG=1 tests/services.sh cargo test --features full --test nodes -- --nocapture capacity`.
//! What is worked out from them below says so.
//!
//! # What was measured
//!
//! | what | a second | bound by |
//! |---|---|---|
//! | requests with a cached key, through the layer, one core | 840,000 | the processor |
//! | keys that the node has not seen, with a pepper | 9,900 | a query each, and here the processor that all share |
//! | issued keys, one node | 950 | one write after the other, and the data in memory |
//! | issued keys, four nodes | 760 | the same: writes take turns across all nodes |
//! | decisions of one Redis, one caller | 16,000 | the way there and back |
//! | the same, 64 callers on one node | 82,000 | the processor |
//! | the same, 64 callers on four nodes | 104,000 | one core of Redis |
//!
//! | what | how long |
//! |---|---|
//! | until each of 12 nodes has heard of a write | 7 ms, the slowest of ten 43 ms |
//! | applying 10,000 changes at once, 100,000 keys in use | 60 ms; the 99th percentile of requests does not move (3 µs) |
//! | a round of the log with nothing new | 4 µs of the node, beside its query |
//!
//! The database's files were in memory. On a disk each write waits for it: with 2 ms for a commit, some 300 to
//! 400 writes a second.
//!
//! # 1,000,000 requests a second
//!
//! Worked out, not measured:
//!
//! * **The layer.** At 840,000 a second for one core, a million takes 1.2 cores beside what HTTP itself and
//!   your service take, which is far more: at 20,000 requests a second and core for HTTP with a small handler,
//!   that is 50 cores, say 7 nodes of 8, and keys are 2.4 % of the work.
//! * **PostgreSQL is not asked** for cached keys. What it has to do is: one query for the log every 2 seconds
//!   of each node (7 nodes: 3.5 a second), one for each write and node (10 writes a second: 70), and the keys
//!   that are not in a cache. With 1 % of requests missing the caches it is 10,000 lookups a second, what was
//!   measured here on a part of two cores.
//! * **Uses** are written together every few seconds, a row for each key that was used: with a million keys in
//!   use every minute that is the largest load, some 17,000 rows a second. Half of it is gone if each key
//!   reaches one node only.
//! * **Shared limits** are one decision for each request that is limited: a million a second is ten of the
//!   Redis measured here (1,000,000 / 104,000 = 9.6). One client of the crate knows one server. So either
//!   limit fewer requests (a key without limits asks nobody, and one that is over its limit asks once a
//!   second), or choose nodes by key and let each count for itself, or give each group of nodes a Redis of its
//!   own and send a key to one group.
//!
//! # 100,000,000 keys
//!
//! * **Rows.** A key is about 1 KB with its indexes: 100 GB, and more with owners, metadata and the trail of
//!   their changes. A lookup is one probe of an index of handles, whose depth grows by a level for every
//!   few hundred times as many rows: four levels instead of three, and the upper ones stay in memory.
//! * **Memory of a node** goes with the keys in use on it, not with those that there are: at most 900 bytes each.
//!   A million cached keys are 0.9 GB. Raise [`cached_keys`](crate::ApiKeysBuilder::cached_keys) from its
//!   100,000 if more are in use, or every one beyond is a lookup.
//! * **A restart** knows nothing. With a pepper each key costs one lookup: a million keys in use at 9,900 a
//!   second are 100 seconds until all were seen again, during which requests wait some milliseconds longer.
//!   Start nodes one after another. *Without* a pepper each costs the slow hash, some 20 ms of a core: a
//!   million are five and a half hours of one core. Use a pepper.
//! * **Issuing them** at 400 writes a second takes 250,000 seconds, three days. Writes do not get faster with
//!   more nodes. Import in good time, and do not issue a key for each request or login.
//! * **The log** keeps 100,000 changes. At 400 writes a second a node that sleeps for longer than 250 seconds
//!   has missed some, and reads each key again before it admits it.
//!
//! # What ends first
//!
//! 1. Limits shared through one Redis: at some 100,000 limited requests a second.
//! 2. Writes: at some hundred a second, whatever the number of nodes.
//! 3. Connections: twelve for each node. At PostgreSQL's usual 100 that is 8 nodes; with `max_connections =
//!    500`, 40. More need a pooler, and then changes are heard of by polling.
//! 4. The word of a write: each node reads the log once for it. With 40 nodes and 100 writes a second that is
//!    4,000 small queries a second, fewer when writes come in quick succession, since a node reads what came
//!    within 5 ms at once.
