//! What a request costs, how that scales, and what to tune.
//!
//! All figures are from the crate's own benchmarks (`benches/README.md` says how to run them), on two
//! cores of a shared virtual machine. Nanoseconds do not travel from machine to machine; ratios within
//! one run, instructions and allocations do.
//!
//! # A request, step by step
//!
//! A request whose key this thread has at hand is decided on the spot: without a lock, without a wait,
//! without a boxed future.
//!
//! | step | what happens |
//! |---|---|
//! | find | one look at each place where a key may stand: `Authorization`, `X-API-Key`, and the path if the layer is told so. Nothing is copied. |
//! | fit | prefix and length. What does not fit is refused here; no clock was read and nothing was hashed. |
//! | fingerprint | SipHash-2-4 with 128 bits, under a random key of this process |
//! | at hand | one cache line of this thread's table leads to four passes. A pass is the proof that the text is a certain secret, a copy of what the key is judged by, and what handlers are told, all in one piece. |
//! | clock | the processor's counter, once |
//! | still so? | one load of the number of changes of the key. If it has moved, the state is read anew. |
//! | judge | standing, expiry, address, server, scopes, access, your policies: on every request |
//! | charge | one compare-and-swap for each rate limit, all or none |
//! | still so? | the same load again, after everything else |
//! | hand on | the key leaves the head, the [`KeyContext`](crate::KeyContext) goes into the extensions |
//! | answer | `RateLimit` and `RateLimit-Policy`, unless they are switched off |
//!
//! What is not at hand is looked for in the cache that all threads share (moka), which costs some
//! hundred nanoseconds more and notes what is in use. What is not there either is read from the store
//! and proven: by a pepper in microseconds, or by Argon2id in some twenty milliseconds, once, however
//! many requests wait for it.
//!
//! # Why no verdict is remembered
//!
//! A remembered "yes" has to be found and taken back when a key is withdrawn, on every thread, in time.
//! Here nothing has to be found: what threads keep is a proof, which stays true, and a copy of the live
//! state with a number. Whoever changes the key stores the new state, raises the number, and only then
//! returns. A request that begins afterwards sees another number, whatever its thread has kept
//! (`tests/loom.rs` tries every interleaving of that).
//!
//! # Why SipHash
//!
//! A hit *is* the authentication, so the fingerprint must be a pseudo-random function, not merely a good
//! hash. SipHash-2-4 was made as one; its key is 128 bits from the operating system, lives in this
//! process only, and is never used for anything that a caller is shown. 128 bits of output make a
//! collision with a remembered key a matter of luck of about 3e-21 for a million keys and a million
//! million guesses. BLAKE3 under a key takes about twice as long for a text this short and rests on the
//! same secrecy: whoever could read the key out of the process could read the keys in use as well.
//!
//! # Beside others
//!
//! Added to a request by each, over a service that does nothing: 10,000 keys, the nth of them sending in
//! proportion to 1/n, one thread, every key remembered and used once before each round, compiled with
//! link-time optimisation; medians of one run on a machine with other work. They do not do the same: the set
//! and tower-mcp compare plain text, and none of them looks at addresses, scopes, servers or withdrawals.
//!
//! | | added, ns | beside "stacked" |
//! |---|---|---|
//! | tower-http, a set of 10,000 plain keys | 114 | 0.45 |
//! | tower_governor, by key | 164 | 0.65 |
//! | the two stacked | 254 | 1.00 |
//! | the two stacked, 64 keys in use | 135 | 0.53 |
//! | tower-mcp `AuthLayer` | 243 | 0.96 |
//! | prefixed-api-key, SHA-256 | 348 | 1.37 |
//! | an afternoon: `from_fn`, SHA-256, DashMap, governor | 555 | 2.18 |
//! | a JWT with HS256 | 1,337 | 5.26 |
//! | **this crate, every check on** | 369 | 1.45 |
//! | 64 keys in use | 208 | 0.82 |
//! | with the two `RateLimit` headers, as by default | 652 | 2.56 |
//! | with them, 64 keys in use | 352 | 1.38 |
//! | without a limit | 361 | 1.42 |
//! | a malformed key refused | 435 | 1.71 |
//! | an unknown key refused again | 624 | 2.46 |
//!
//! Every check: a rule on addresses, a scope, a server, a rate limit, the note of the use, the context. Three
//! other runs gave 1.35, 1.40 and 1.45 times "stacked" for it, and 0.67 to 0.79 times with 64 keys in use. Requests that spread over many keys cost more, with us as with
//! a plain set: what belongs to a key has left the nearest caches by the time it is used again. Here it is read
//! from three places, the table, the pass, and what threads share of the key, and fetched from them at the same
//! time. The headers cost as much again as the checks of a hot key: two lines of text are written and put into
//! a map that has to be made for them; [`rate_limit_headers`](crate::ApiKeyLayer::rate_limit_headers) switches
//! them off.
//!
//! What an admitted request takes on the heap is what [`http::Extensions`] takes for one value (three
//! allocations in an empty map, one in a filled one), and four for the headers. It takes 2,800 instructions,
//! 4,900 with the headers. `tests/hot_path_budget.rs` and `benches/budget.sh` hold both to a budget.
//!
#![doc = include_str!("performance/peers.svg")]
//!
//! # How it scales
//!
//! Two threads serve two keys, or the same one, with 1.8 times the throughput of one thread or more: what a
//! thread counts or notes for a request lies on cache lines of its own, but for the limit of the key itself.
//!
//! More keys in use cost more for each request: 10,000 by Zipf's law 0.2 µs more than a thousand, 100,000 nearly
//! one, because the data of a key has left the caches by the time it is used again. A live key takes about 1.1 KiB,
//! with its place in the cache about 1.7 KB. A first request with a key of a million in SQLite costs 1.04 times
//! what it costs with a thousand. Opening a store of a million keys takes a millisecond: nothing is loaded before
//! it is used. Lists and searches are answered from indexes, in milliseconds at a million keys.
//!
//! A cold key costs one row and one HMAC with a pepper, and some twenty milliseconds of one core without:
//! 26 to 46 a second for each permit. `tests/reliability` holds what a storm of cold keys may do to the
//! requests of warm ones.
//!
//! # What to tune
//!
//! | setting | when |
//! |---|---|
//! | [`keys_at_hand`](crate::ApiKeysBuilder::keys_at_hand) | Each thread keeps so many passes, of about 350 bytes each. Raise it where one thread serves more keys than that all the time; lower it where there are many threads and little memory. |
//! | [`cached_keys`](crate::ApiKeysBuilder::cached_keys) | More than there are keys in use in one process: a key that has fallen out has to be proven again. |
//! | [`pepper`](crate::ApiKeysBuilder::pepper) | Always, where many keys may be cold at once: a restart with 100,000 keys in use costs seconds of work with it, and half an hour of Argon2id without. |
//! | [`hash_permits`](crate::ApiKeysBuilder::hash_permits) | How many slow hashes may run at once: 19 MiB and a core each. More of them make cold keys wait less and warm ones wait for a core. |
//! | [`argon2`](crate::ApiKeysBuilder::argon2) | The secret of a key has 142 bits from the operating system, so the slow hash is no more than a second line of defence; where cold keys come in very large numbers and no pepper can be kept, light parameters are a sound choice. |
//! | [`rate_limit_headers`](crate::ApiKeyLayer::rate_limit_headers) | Off, where nobody reads them. |
//! | [`poll_interval`](crate::ApiKeysBuilder::poll_interval) | One query for each node and interval. It bounds how long another node's change can go unnoticed where nothing rings. |
