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
//! | at hand | one cache line of this thread's table leads to four passes. A pass is the proof that the text is a certain secret, a copy of what the key is judged by, and where what handlers are told is found; what a request asks of it lies together. |
//! | clock | the processor's counter, once |
//! | still so? | one load of the number of changes of the key. If it has moved, the state is read anew. |
//! | judge | standing, expiry, address, server, scopes, access, your policies: on every request. Keys that may do the same share what says so. |
//! | charge | one compare-and-swap for each rate limit, all or none |
//! | still so? | the same load again, after everything else |
//! | hand on | the key leaves the head, the [`KeyContext`](crate::KeyContext) goes into the extensions |
//! | answer | `RateLimit` and `RateLimit-Policy`, unless they are switched off |
//!
//! What is not at hand is looked for in the cache that all threads share, which costs some hundred
//! nanoseconds more and notes what is in use. What is not there either is read from the store
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
//! | tower-http, a set of 10,000 plain keys | 163 | 0.47 |
//! | tower_governor, by key | 196 | 0.56 |
//! | the two stacked | 350 | 1.00 |
//! | the two stacked, 64 keys in use | 145 | 0.42 |
//! | tower-mcp `AuthLayer` | 315 | 0.90 |
//! | prefixed-api-key, SHA-256 | 438 | 1.25 |
//! | an afternoon: `from_fn`, SHA-256, DashMap, governor | 698 | 1.99 |
//! | a JWT with HS256 | 1,706 | 4.87 |
//! | **this crate, every check on** | 484 | 1.38 |
//! | 64 keys in use | 206 | 0.59 |
//! | with the two `RateLimit` headers, as by default | 639 | 1.83 |
//! | with them, 64 keys in use | 341 | 0.97 |
//! | without a limit | 463 | 1.32 |
//! | a malformed key refused | 365 | 1.04 |
//! | an unknown key refused again | 491 | 1.40 |
//!
//! Every check: a rule on addresses, a scope, a server, a rate limit, the note of the use, the context. Requests
//! that spread over many keys cost more, with us as with a plain set: what belongs to a key has left the nearest
//! caches by the time it is used again. Here it is read from three places, the table, the pass, and what threads
//! share of the key, and fetched from them at the same time. The headers cost more than half as much again as the
//! checks of a hot key: a line of text is written, and with another one put into a map that has to be made for
//! them; [`rate_limit_headers`](crate::ApiKeyLayer::rate_limit_headers) switches them off.
//!
//! [Recording usage](crate::ApiKeysBuilder::usage) adds 9 to 13 ns to that in seven runs, in which the layer with
//! and without it takes turns that are short; 15 were aimed at. A thread counts requests that are alike. What it
//! has counted is added up later, which takes some 50 ns of processor time for each request (150 if each is written
//! down by itself).
//!
//! What an admitted request takes on the heap is what [`http::Extensions`] takes for one value (three
//! allocations in an empty map, one in a filled one), and three for the headers. It takes 2,770 instructions,
//! 4,410 with the headers. `tests/hot_path_budget.rs` and `benches/budget.sh` hold both to a budget.
//!
#![doc = include_str!("performance/peers.svg")]
//!
//! # What was aimed at
//!
//! Ratios of four runs each, of every check without the headers unless something else is said. What was measured
//! again on a quieter day is behind a semicolon, three runs of it:
//!
//! | | aimed at | measured | |
//! |---|---|---|---|
//! | added time, to that of tower-http's set and tower_governor stacked | 0.95 | 1.37, 1.38, 1.70, 2.26; 1.29, 1.44, 1.45 | missed |
//! | the same with 64 keys in use, to the two with 10,000 | 0.85 | 0.58, 0.59, 0.68, 0.70; 0.74, 0.80, 0.90 | missed once |
//! | the same, to the two with 64 as well | 0.85 | 1.42, 1.61, 1.69, 1.73; 1.64, 1.71, 1.89 | missed |
//! | to the afternoon's work | 0.35 | 0.69, 0.79, 0.88, 1.23; 0.69, 0.69, 0.71 | missed |
//! | to tower-mcp's `AuthLayer` | 0.85 | 1.53, 1.60, 2.47, 2.47; 1.44, 1.50, 1.55 | missed |
//! | to a JWT with HS256 | 0.12 | 0.28, 0.31, 0.45, 0.52; 0.28, 0.30, 0.32 | missed |
//! | allocations, with an empty map of extensions and a filled one | 3, 1 | 3, 1 | reached |
//! | instructions | 2,050 | 2,773 | missed |
//! | throughput of two threads to one: one key, a key each | 1.0, 1.9 | 1.25 to 1.86, 1.92 to 1.99 | reached |
//! | over HTTP on loopback, with the headers, to a server without the layer: throughput | 0.97 | 0.93, 0.94, 0.95; 0.97, 0.99, 1.01 | missed, then reached |
//! | processor time of a request there | 1.05 | 1.06, 1.07, 1.11; 1.03, 1.04, 1.11 | missed at times |
//! | 99th percentile there | 1.10 | 0.74, 1.67, 1.74; 0.25, 0.83, 1.10: noise | open |
//! | a malformed key, to an admitted request | 0.5 | 0.45, 0.51, 0.75, 0.84; 0.76, 0.83, 0.84 | missed |
//! | an unknown key, to an admitted request | 1.0 | 0.72, 0.91, 1.02, 1.17; 1.11, 1.20, 1.24 | missed |
//! | bytes for a key, of a million | 900 | 813, 815, 880 | reached |
//! | a lookup among a million keys, to one among a thousand | 1.5 | 1.28, 1.51, 1.72 | missed at times |
//! | the first request with a key, the same | 1.5 | 0.72, 1.00, 1.28 | reached |
//! | reading a call of 1 KiB, to parsing it | 0.6 | 0.20 to 0.40 | reached |
//!
//! What stands in the way: a hot key takes some 2,770 instructions, of which finding and taking out the header takes
//! 490 and moving request and response 330. With 10,000 keys in use as much time again is added: by layout a request
//! reads some eight cache lines that belong to its key, in four pieces. That it is the waiting for these is
//! likely, but no counters of the processor were at hand to show it, nor that the spread comes from neighbours on
//! the same machine.
//!
//! What was tried: one table for each thread before the shared cache (kept); telling the shared cache of a use at
//! every 64th hit, which cost some 140 instructions of each request (now every ten seconds); keeping once what many keys share (kept:
//! half the memory); pointers to all that a key needs in the table itself, so that it is fetched one step
//! earlier (no gain, taken out); a note in the table that this gate's demands are met (taken out: it is a verdict that
//! is remembered); huge pages for the heap (up to a third less at times, nothing at others).
//!
//! # How it scales
//!
//! Two threads serve two keys, or the same one, with nearly twice the throughput of one thread: what a
//! thread counts or notes for a request lies on cache lines of its own, but for the limit of the key itself.
//!
//! More keys in use cost more for each request: 10,000 by Zipf's law 0.2 µs more than a thousand, 100,000 nearly
//! one, because the data of a key has left the caches by the time it is used again. A live key takes 810 to 880
//! bytes, its place in the cache included, of a million keys: what it may do (servers, scopes, networks, limits) is
//! there once for all keys that may do the same, and takes more where every key is another. A first
//! request with a key of a million in SQLite costs about what it costs with a thousand, the look into the database up to 1.7 times as much. Opening a store of a million keys takes a millisecond: nothing is loaded before it is used. Lists and
//! searches are answered from indexes, in milliseconds at a million keys.
//!
//! A cold key costs one row and one HMAC with a pepper, and some twenty milliseconds of one core without:
//! 26 to 46 a second for each permit. `tests/reliability` holds what a storm of cold keys may do to the
//! requests of warm ones.
//!
//! # What to tune
//!
//! | setting | when |
//! |---|---|
//! | [`keys_at_hand`](crate::ApiKeysBuilder::keys_at_hand) | Each thread keeps so many passes, of about 200 bytes each, and a kilobyte more where handlers ask for [`KeyContext::key`](crate::KeyContext::key). Raise it where one thread serves more keys than that all the time; lower it where there are many threads and little memory. |
//! | [`cached_keys`](crate::ApiKeysBuilder::cached_keys) | More than there are keys in use in one process: a key that has fallen out has to be proven again. |
//! | [`pepper`](crate::ApiKeysBuilder::pepper) | Always, where many keys may be cold at once: a restart with 100,000 keys in use costs seconds of work with it, and half an hour of Argon2id without. |
//! | [`hash_permits`](crate::ApiKeysBuilder::hash_permits) | How many slow hashes may run at once: 19 MiB and a core each. More of them make cold keys wait less and warm ones wait for a core. |
//! | [`argon2`](crate::ApiKeysBuilder::argon2) | The secret of a key has 142 bits from the operating system, so the slow hash is no more than a second line of defence; where cold keys come in very large numbers and no pepper can be kept, light parameters are a sound choice. |
//! | [`rate_limit_headers`](crate::ApiKeyLayer::rate_limit_headers) | Off, where nobody reads them. |
//! | [`poll_interval`](crate::ApiKeysBuilder::poll_interval) | One query for each node and interval. It bounds how long another node's change can go unnoticed where nothing rings. |
