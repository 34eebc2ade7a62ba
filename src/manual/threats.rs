//! Who attacks, what the crate does about it, and what it leaves to you.
//!
//! Everything here is meant literally. Where a promise has a bound, the bound is part of it; where
//! nothing is promised, assume nothing.
//!
//! # What is defended
//!
//! A secret of the default format is 24 random base 62 characters, 142.9 bits, from the operating
//! system's random source, behind a public handle of 8 characters. Nobody guesses that. What goes wrong
//! with API keys is something else: they leak, they outlive their purpose, they are accepted where they
//! should not be, and the machinery that checks them is slow, or fails open. That is what the rules here
//! are about.
//!
//! Outside of what any library can defend: somebody who controls the host or the process, a network
//! without TLS, and a store whose content an attacker can *write*. A row decides what its key may do, so
//! whoever writes rows issues keys.
//!
//! # Who attacks
//!
//! ## A stranger with a network connection
//!
//! *Tries keys.* A text that is not of an accepted format, or whose checksum is wrong, is refused without
//! any I/O. The checksum saves work, it is no defence: anybody can compute it. A well-formed key that is
//! not known costs one read of the store. It is then remembered for five seconds, in a table of 10,000
//! entries of its own, so that a flood pushes out no good key. Reads of the store that verify keys run at
//! most 64 at a time.
//!
//! *Tries to make the server hash.* A wrong secret for a known handle is refused by its
//! [tag](crate::key::Tag), 32 bits of a fast hash, and reaches the slow hash with a chance of one in
//! 2<sup>32</sup>. Slow hashes run a few at a time, each on a buffer that is used again, with a bounded
//! queue and a deadline; beyond it the answer is 503, not a stalled server. A caller that hangs up frees
//! nothing while its hash still runs, and a key that a thousand requests present at once is hashed once.
//!
//! *Fails again and again.* Unknown and wrong keys are counted by the caller's address (an IPv4 address,
//! an IPv6 /64). An address over the limit, 100 a minute by default, gets 429 for keys that are not yet
//! proven in this process. Keys that are proven already go on, from that address too: an office behind
//! one address is not locked out by one misconfigured script, except for keys first used in that time.
//! Malformed and missing keys are not counted. Attempts in flight at the same moment are counted when
//! they have failed, so a burst can overshoot the limit by as many as are in flight.
//!
//! *Asks what exists.* Unknown, malformed, wrong and revoked keys get the same bytes. Expired and
//! disabled keys are named as such, and so are refused addresses, servers and scopes, but only to a
//! caller who has presented the whole genuine key. An answer says what is needed, never what the key
//! holds. The *time* of an answer is not levelled: a malformed key is refused sooner than an unknown
//! one. An unknown handle and a wrong secret for a known one both cost one read and no slow hash;
//! [imported keys](#imported-keys) are the exception.
//!
//! *Sends a second credential.* A request with keys in two places, or with two lines of one header, is
//! refused, even if both are the same key. A credential that the layer and something behind it could
//! read differently does not get in.
//!
//! *Claims an address.* The address is that of the connection. A header is read only if you name one, and
//! only from a peer that you declared as a proxy; see [`client_ip`](crate::client_ip). Where the truth
//! cannot be told the address is unknown, and a key with any network rule is refused.
//!
//! *Sends a large body.* The layer does not read the body of a request before the key has been judged. Of
//! a refused HTTP/1 request it reads away at most 64 KiB that were announced by a length, for at most a
//! quarter of a second, so that the client sees the answer. Under [`with_mcp`](crate::ApiKeyLayer::with_mcp)
//! JSON is read into memory, at most 4 MiB for at most 30 s, once the key was admitted. Everything else about
//! bodies is yours.
//!
//! ## The holder of a weak key
//!
//! *Wants more than was granted.* Status, expiry, secret, network, server, scope and your policies are
//! judged on every request from the key's live state, remembered or not. A key opens no server that is
//! not named, and absence is never a permission: an empty list of servers opens none, a layer without a
//! name admits only keys for all servers, and a route under
//! [`RequireScopeLayer`](crate::layer::RequireScopeLayer) without a key layer around it is closed.
//!
//! *Wants more than the rate.* A request passes all limits of its key or spends none of them. Limits
//! belong to the key and live as long as it is not idle; a flood of other keys cannot push them out.
//! Rotation does not refill them, nor does changing a limit under its old name.
//!
//! *Uses another caller's MCP session.* Under [`with_mcp`](crate::ApiKeyLayer::with_mcp) a session belongs
//! to the key that began it; see [below](#what-tool-rules-give). **Without it this is not prevented**: a
//! session is known by its `Mcp-Session-Id`, and another key for the same server can join a session whose
//! id it has learned. Each call still shows the [`KeyContext`](crate::KeyContext) of the key it came with,
//! so check that, not the session, or run the server without sessions.
//!
//! *Calls a tool it should not.* Under `with_mcp` it is held to its rules and its level. **Without it the
//! layer does not look into MCP messages**: the right to a server is the right to all its tools, unless the
//! tool asks the [`KeyContext`](crate::KeyContext) for a scope.
//!
//! ## A reader of logs
//!
//! *Finds keys in them.* An [`ApiKey`](crate::ApiKey) has no `Display`, no `Clone` and no `Serialize`, and
//! its `Debug` shows prefix and handle. The crate logs ids, handles and reasons. It takes the key out of an
//! admitted request, and out of a refused one before any responder sees it, so that neither handlers nor
//! upstreams can write it down.
//!
//! *Finds them in URLs.* Keys in the path are off by default. Where they are on, the segment is removed
//! from the URI, and from axum's `OriginalUri`, before anything behind the layer sees it; a malformed
//! attempt as well. Answers carry `Referrer-Policy: no-referrer` and `Cache-Control: no-store`. What stands
//! *in front of* the layer sees the whole URL, and this is yours: the proxy's access log, the load
//! balancer, a trace layer outside of the key layer, the client's own history. OAuth-capable MCP
//! clients that get a 401 look for metadata and repeat the path, key included, under
//! `/.well-known/oauth-protected-resource/…`. A key that stands anywhere else than where the template
//! says, there or behind a doubled slash, is not looked for and not removed: without another key the
//! request is refused, and whatever logs refused requests logs it.
//!
//! Keys in the query string are never accepted. A client that puts one there has leaked it to everything
//! that logs URLs: rotate it.
//!
//! ## A thief of the store
//!
//! Of each secret that was made here the store holds the handle, an Argon2id hash, the tag, and with a
//! pepper `HMAC-SHA-256(pepper, key)`; [imported keys](#imported-keys) are another matter. Names, owners,
//! scopes, network rules and metadata stand there in clear text, so a copy tells who has keys for what.
//!
//! *Without a pepper* a thief can test a guess against the tag at the speed of SHA-256, and what passes
//! against Argon2id. Out of 142.9 random bits that leaves nothing to try.
//!
//! *With a pepper* nothing more can be tried, and nothing less: the code made with the pepper is useless
//! to a thief who lacks it, but the Argon2id hash and the tag are still stored beside it. What the pepper
//! changes is the price of a key that the process has not seen before: microseconds instead of tens of
//! milliseconds. A thief who has the pepper as well can test a guess by one HMAC, and is where he was
//! without it: in front of 142.9 bits.
//!
//! Argon2id is not needed for keys like these. A single fast hash of a secret with 112 random bits or
//! more is held to be enough by the usual standards. It is the default because it costs little here (a
//! key is hashed once per process, not once per request) and leaves a margin where a random source was
//! weaker than it said.
//!
//! The tag is the price of not hashing for strangers. It tells 32 bits of a fast hash about each key,
//! which a secret of 142.9 bits does not miss and a short one would not survive. A thief can also compute
//! wrong secrets that fit a tag and so make the server run its slow hash; the queue and the failure limit
//! bound that.
//!
//! *A restored backup* brings back what was revoked, rotated or deleted after it was made. Stop the
//! processes, restore, withdraw again what had been withdrawn, then start them.
//!
//! ## A page in somebody's browser
//!
//! Whoever is signed in to the [admin page](super::how_to) may look at another page that tries to act in their
//! name. The session's cookie is `SameSite=Strict`, so a browser does not send it with what another site asks
//! for. Should it be sent all the same, nothing is changed but by a `POST` that carries the token of its
//! session, and not if `Sec-Fetch-Site` or `Origin` says that it comes from elsewhere. The page cannot be
//! framed. It cannot be signed in to for somebody either: the form to sign in has a token of its own.
//!
//! What is written into names, descriptions and facts by one person is read by another. The templates escape
//! it, direction marks end where the text does, and should markup get through, the content policy lets no
//! script run but the page's own file.
//!
//! Who reads the cookie from a browser's memory has the session until it ends, from wherever the key may be
//! used. It is not a key: the API and the layers do not take it. Without TLS anybody on the way reads it, and
//! the key that is presented to sign in.
//!
//! ## Somebody who keeps a key after it was withdrawn
//!
//! This is the subject of the next section.
//!
//! # How soon a change holds
//!
//! A change is anything the [`KeyManager`](crate::KeyManager) does: revoke, delete, disable, rotate, cut a
//! scope, a server or a network, lower a limit, set an expiry.
//!
//! | where | when |
//! |---|---|
//! | in the process that made the change | for every request that begins after the call has returned |
//! | in another process on the same store | when it has read the change log: every 2 seconds, so normally within about 2.5 seconds of the commit |
//! | the same, in PostgreSQL | when the word of the commit arrives, normally within some 20 milliseconds; if it is lost, as above |
//! | after a backup of the store was restored | as above. What the backup does not know is gone: a key that was revoked since works again, and nobody can tell. Revoke it again |
//! | there, while the store does not answer | 60 seconds at the most, counted from the beginning of the last reading that succeeded. From then on every key gets 503 |
//! | for a request that was admitted before | not at all. It runs to its end |
//! | for a stream that is open | within a second of the change being known in the process: see below |
//!
//! In detail:
//!
//! * "Has returned" matters. While the call is still running, a request may be judged by either state.
//!   Once it has returned, no request that begins is admitted by the old one: neither from a cache nor by
//!   a verification that had read the old row before the change. A model checker goes through every order
//!   of the two.
//! * A call that fails may have been committed, if the answer was lost. The process then reads that key
//!   again before it admits it the next time.
//! * The interval is [`poll_interval`](crate::ApiKeysBuilder::poll_interval). The follower waits so long
//!   after one reading before it begins the next, and gives each query of a reading one second. A reading
//!   is one query for the log. A changed key that is in use in the process is read again when it is next
//!   presented.
//! * The 60 seconds are [`max_stale`](crate::ApiKeysBuilder::max_stale). With `max_stale` at zero it is
//!   still two intervals and their time-outs, six seconds by default, or a process would turn keys away
//!   between two readings.
//! * A process that has missed more of the log than the store keeps (100,000 changes) reads each key again
//!   before it admits it.
//! * [`catch_up`](crate::ApiKeys::catch_up) reads the log now.
//! * Expiry needs none of this. Each process judges it by its own clock, on each request. Clocks that
//!   disagree disagree about expiry.
//! * Changes made past the manager, with SQL for instance, are not in the log. A running process does not
//!   see them.
//!
//! A change of an owner or a plan holds for all of its keys in the same way. What an
//! [`OwnerDirectory`](crate::rights::OwnerDirectory) of your own says holds for as long as it says it is
//! good for, or until [`owner_changed`](crate::ApiKeys::owner_changed) is called.
//!
//! ## Open streams
//!
//! An answer without an announced length, such as an SSE or gRPC stream, is ended when its key is withdrawn,
//! disabled, expired or rotated, when it loses the server or a scope that the layer asks for, and when
//! requests would get 503 because the store does not answer. The key is looked at twice a second. An SSE
//! stream ends with an event that says why, a gRPC stream with a status, any other just ends.
//!
//! * An answer whose length was announced runs to its end, however long.
//! * The address, your own policies and the rules for tools are not looked at again: a stream that was
//!   begun under them goes on.
//! * A reader who does not read holds a stream open. Nothing more is sent on it but what the sockets hold
//!   already; it ends when it is next read.
//! * In the middle of an event there is no place for another, so a stream that is cut there ends without a
//!   word.
//! * What the server does behind the stream is ended by the drop of the answer's body, if the server minds
//!   that. A call that was accepted may go on.
//!
//! # Imported keys
//!
//! A key that another system has issued is as good as that system made it, and nobody here knows how
//! good that is. What differs from keys that are issued here:
//!
//! *There is no tag*, ever. A tag would let a thief of the store sort guesses at the speed of SHA-256,
//! which for a secret of 40 random bits leaves some 256 of them for the slow hash. The
//! [credential](crate::key::Credential::imported) cannot hold one.
//!
//! *A wrong secret for a known handle is therefore not refused for nothing.* It costs what the stored
//! hash costs: next to nothing for SHA-256, a slow hash for bcrypt and Argon2id, which for bcrypt of cost
//! 14 is about a second of one core. The pool, its queue and the failure limit bound that, and the time
//! of the answer tells a stranger that the handle exists. With a pepper this ends at the first use: the
//! key's code refuses wrong secrets in microseconds. Set one before you import.
//!
//! *Until its first use* a key lies in the store by the hash that it came with. A SHA-256 of a short or
//! guessable key is as good as the key. Keys that are never used are never upgraded: let them
//! [expire](crate::NewKey::expires_at).
//!
//! *After its first use* bcrypt and SHA-256 are replaced by Argon2id. A thief of the store then pays one
//! Argon2id for each guess, some 2<sup>40</sup> of them for 40 random bits and 10,000 for four digits:
//! the slow hash makes a weak key dearer, not strong. The code under a pepper can be tried at the speed
//! of SHA-256 by a thief who has the pepper too. If the pool is busy at the first use, or the store fails,
//! the old hash stays until a process that does not remember the key verifies it again. Backups made
//! before hold the old hash for good.
//!
//! *An imported Argon2id hash stays as it is*, however light its parameters.
//!
//! *bcrypt reads 72 bytes.* A longer text is never proven by it, and an import is refused where keys of
//! the accepted formats may be longer.
//!
//! [Rotation](crate::KeyManager::rotate) ends all of this: the new secret is made here, with 142.9 random
//! bits and a tag.
//!
//! # What a signature gives
//!
//! A [signed request](crate::signing) carries a code over a timestamp and its body, keyed by the API key.
//! Whoever lacks the key cannot make one. So against somebody who can send or change requests, but has
//! never read one:
//!
//! * **the body arrives as it was signed**, byte for byte, or not at all;
//! * **a request is no older than the tolerance**, 300 s by default, nor that far in the future.
//!
//! And it does not give:
//!
//! *Secrecy.* **The key travels in the same request**, in `Authorization`. Somebody who reads one request,
//! on a network without TLS, at a proxy or in a log, has the key and from then on signs what they like.
//! A signature is no substitute for TLS and takes nothing away from the care that logs need.
//!
//! *Anything beyond the body.* Method, path, query and headers are not covered. A good signature is good for
//! the same body under any method and path, on every server that the key opens and that verifies
//! signatures. An empty body has one signature for each second: a signed `GET` can be turned into a
//! `DELETE` of something else. Where the target matters, put it into the body.
//!
//! *Uniqueness.* A request that was sent once can be sent again, unchanged, until its timestamp is too old.
//! With a [replay guard](crate::SignedRequestLayer::replay_guard) each signature passes once.
//! [`MemoryReplayGuard`](crate::signing::MemoryReplayGuard) knows what passed in this process since it
//! began: another process takes the same signature once more, and so does this one after a restart. Only a
//! guard that all processes share, by [`ReplayGuard`](crate::signing::ReplayGuard), holds for all of them.
//! The other side of it: two requests of one key with the same body in the same second *are* one signature,
//! and the second is refused.
//!
//! *Proof of who signed.* The server has what it takes to make the same signature.
//!
//! A request that claims to be signed, by one of the two headers, is verified or refused, even where
//! signing is optional. Taking both headers away makes it an unsigned one: where that must not pass, signing
//! has to be required, by the layer or by the [key](crate::key::Signing).
//!
//! Verifying takes the key as it was presented. The gate hands it to the signing layer inside, which takes
//! it out of the request before anything behind it is called. The two headers are taken out as well: to
//! whoever can read them together with the body they are as good as a hash of the key, which for a short
//! [imported key](#imported-keys) is enough to find it. A signed body is held in memory until it is
//! verified, at most 1 MiB for at most 10 s, and a caller needs a good key to get so far. Limits are charged
//! before: a request with a bad signature has used up its share. Under `with_mcp` they are charged after it,
//! and a bad signature has spent nothing but a request of the ceiling.
//!
//! # What tool rules give
//!
//! Under [`with_mcp`](crate::ApiKeyLayer::with_mcp) a key with [rules](crate::key::McpRules), or one that may
//! only read, is *restricted*. For such a key:
//!
//! * **What reaches the server was read and judged.** A message names a tool, prompt or resource that the
//!   rules permit, by a method that is known, or is one that needs no permission. What could be read in two
//!   ways, what is not JSON in UTF-8, and what is not a message do not pass: not as another content type,
//!   not as the body of a `GET`, not by a change of protocol.
//! * **A denial tells what was asked for and not what the key may do instead.** It has spent nothing.
//!
//! It does not give:
//!
//! *Secrecy of names.* **Lists are a courtesy; the control is the call.** Lists are filtered in the answers
//! to list requests, and on `GET` streams, where a server may repeat them. A server can tell names of tools
//! in other places: its instructions, the result of another tool, an error. A list that an unrestricted key
//! has fetched passes as the server made it, also if it says `cacheScope: "public"`; a cache in front that
//! believes it may show it to others. If names matter, let the server say `private`.
//!
//! *Anything about arguments.* A rule permits a tool or not. A tool `query` that runs SQL runs all SQL. Nor is
//! it seen what a tool does on the server: one that calls another tool calls it with the server's rights.
//!
//! *Truth of `readOnlyHint`.* A read-only key calls what you declare to be harmless, by
//! [`read_only_tools`](crate::layer::McpLayer::read_only_tools).
//!
//! *Safety of a resource's content.* URIs are compared as they are written, and ones that are not plain are
//! refused. Where two plain URIs mean the same thing to the server, name both.
//!
//! *The end of a task.* What a task does was judged when it was begun. Rules that are changed later
//! do not end it.
//!
//! *Messages that servers send.* What a server asks of a client, such as sampling, and what the client
//! answers is not judged.
//!
//! ## Sessions
//!
//! Servers of the revisions before 2026-07-28 hand out an `Mcp-Session-Id` and honour it from anybody. Here
//! the client sees that id with a code behind it, made from the id and the key under a random secret of the
//! process. To another key, and without the code, the session does not exist: 404. So it is for all after a
//! restart, upon which clients begin anew, and in another process, unless both have one
//! [`session_secret`](crate::layer::McpLayer::session_secret). A key that was rotated keeps its sessions; two
//! keys of one owner do not share any. The older transport of 2024-11-05 keeps its session in the query, and
//! that one is not bound.
//!
//! ## Tasks
//!
//! A server may answer a call with the id of a task that goes on, and may honour that id from anybody. The
//! layer remembers which key was told which id when a task began, for restricted keys and others alike. To
//! other keys the task does not exist: `tasks/get`, `result`, `update`, `cancel` and a subscription are
//! answered with "Task not found" (-32602), whether there is such a task or not, and `tasks/list` shows a key
//! its own.
//!
//! * **What the layer did not see begin exists for nobody.** It remembers in memory, for one process. After a
//!   restart, or in another process in front of the same server, the owner is told "Task not found" too. So it
//!   is for a task whose answer came encoded, in more than 64 KiB, or only on a stream that was resumed.
//!   Where requests for one task come to several processes, route them by `Mcp-Name`, which carries the
//!   task's id, or let the server ask whose it is and use
//!   [`unbound_tasks`](crate::layer::McpLayer::unbound_tasks).
//! * 65,536 tasks are remembered. Beyond that the key with the most loses its oldest.
//! * An id that the server tells two keys belongs to neither from then on.
//! * Once another key has a task, a message that may be about it and cannot be read is refused, also to a key
//!   without restrictions: 400, or 415 if it is JSON under another content type. What is not JSON by its type
//!   passes.
//! * What a server tells by itself is not judged: a notification about a task on the stream of another key,
//!   or an old list of tasks on a resumed stream of an unrestricted key.
//! * Tasks of a key that was rotated stay its own; two keys of one owner share none.
//!
//! # What the admin API gives away
//!
//! Whoever has a key with `keys:write` and the reach of an admin can make keys, and withdraw those of others:
//! treat it like the store's password. What limits the harm:
//!
//! * Nobody gives a key, or an owner, more than the key has that they act by. A key for one server that
//!   is given `*` may do nothing there.
//! * A secret that was replaced cannot make a new one, though it works within its window.
//! * No cookie is read, and pages of other origins are refused before the key is looked at. What a browser sends along
//!   by itself is worth nothing.
//! * A new key is shown once. With an `Idempotency-Key` its clear text stays in the memory of the process for ten
//!   minutes, so that the answer can be given again; without one it is forgotten when it was sent.
//! * Each act stands in the trail, with its actor, the address and the handle of the key.
//!
//! `owners:write` and `plans:write` change what many keys may do at once. A key with them is not bounded by its
//! own limits in what plans it defines.
//!
//! # What connections by OAuth give away
//!
//! A program that is [connected](crate::oauth) holds a key that its owner never saw. What is done about those
//! who want one without being asked:
//!
//! * *Sends somebody a link.* The answer goes to a place that the program has registered, to the byte. People
//!   see the host that the program is known by and the place where the answer goes, and are told to allow
//!   only what they have just begun. Whoever allows it all the same, has allowed it: names can lie, and
//!   anybody may register a program.
//! * *Shows the page in a frame, or sends its form from another one.* Pages cannot be framed. The form is
//!   sealed for the person, their session and the question, for ten minutes, and must come from the page.
//! * *Finds a code* in a log or a history. It is good for a minute, once, and for nobody who does not know the
//!   verifier. Presented again it ends the connection.
//! * *Steals a refresh token.* It is good once. As soon as both the thief and the program have presented it,
//!   the connection is over.
//! * *Takes a token to another server.* It opens one.
//! * *Wants more than a person has.* What was consented to is held to what the owner may do at each request.
//!   Full access is given by admins only, each time by choice: what a program asks for is not chosen for them.
//! * *Has this process ask hosts that they cannot reach*, by naming them as a program's document: see
//!   [what is asked](crate::oauth#client-documents). It is off by default.
//! * *Registers without end.* Registrations are counted by address and in all, and are forgotten.
//!
//! A page in the browser of somebody who has signed in learns nothing: cookies are sent along to the pages
//! alone, which no other site can read. The endpoints for programs read no cookies.
//!
//! # When something fails
//!
//! Nothing fails open, unless you have it so: a shared limit goes on in each process by default.
//!
//! | what | then |
//! |---|---|
//! | the store does not answer | remembered keys go on for `max_stale`; all others get 503 with `Retry-After`, never 401 |
//! | the store takes longer than 2 seconds to find a key | 503 |
//! | the queue of slow hashes is full, or 2 seconds pass in it | 503 |
//! | a stored hash cannot be read, or asks for more than 64 MiB, 10 passes, 4 lanes or bcrypt's cost 14 | that key gets 503, and a warning is logged |
//! | a verification panics | 503; the next attempt starts afresh |
//! | a shared limiter fails | as its [mode](crate::limit::OutageMode) says: each process counts for itself (by default), all are admitted, or all get 503 |
//! | the replay guard fails, is full, or takes longer than 2 seconds | signed requests get 503 with `Retry-After` |
//! | a signing layer is not told the presented key | every request behind it gets 503, and an error is logged once |
//! | an [`McpLayer`](crate::layer::McpLayer) stands where no key layer hands it the key | every request behind it gets 503, and an error is logged once |
//! | a list cannot be filtered: too large, encoded, of an unknown type, broken | it is replaced by an error |
//! | the peer's address is missing | keys with network rules are refused; failures are not counted |
//! | a layer is forgotten | handlers that ask for the [`KeyContext`](crate::KeyContext) answer with an error |
//!
//! A failing store is never remembered: as soon as it answers, keys are looked up again.
//!
//! # In memory
//!
//! What the crate holds of a presented key is wiped when it is done with: the copy that is being
//! verified, an [`ApiKey`](crate::ApiKey), a [`Pepper`](crate::Pepper), and the memory of a slow hash of
//! the default size or less, the copies for [signatures](crate::signing). The cache holds no key, only a 128-bit fingerprint under a random key of this
//! process.
//!
//! The inner state of an HMAC is not wiped. What was left of one could make signatures, and does not tell
//! the key.
//!
//! What is *not* the crate's is not wiped: the buffers of hyper and of TLS, a header or URI that was
//! removed from a request, what your allocator has moved. A core dump of a server that has just handled a
//! key may hold it. Where that matters, switch core dumps and swap off.
//!
//! # What is yours
//!
//! * **TLS**, in front or in the process. A key that travels in clear text is everybody's.
//! * **Limits on bodies, headers and connections**, and time-outs.
//! * **The peer's address**: `into_make_service_with_connect_info` in axum,
//!   [`PeerAddr`](crate::client_ip::PeerAddr) on bare hyper. tonic passes it on by itself.
//! * **The proxies**: behind one, name it with [`ClientIp::behind`](crate::client_ip::ClientIp::behind).
//!   Otherwise every caller has the proxy's address: a network rule means the proxy, and one caller's
//!   failures are counted against all.
//! * **Who may use the manager.** Code that holds a [`KeyManager`](crate::KeyManager) can do everything
//!   until it says in whose hands it is, by [`acting_as`](crate::KeyManager::acting_as). Who that is, you
//!   have to know; the crate holds them to their own keys and notes them in the audit trail.
//! * **CORS**: a preflight request carries no key and is refused. `CorsLayer` goes outside of the key layer,
//!   which also puts its headers on refusals.
//! * **Logs in front** of the layer, above all where keys stand in the path.
//! * **Shared limits.** Rate limits are counted in each process and begin afresh with it, unless they are
//!   [shared](crate::ApiKeysBuilder::shared_limits).
//! * **The store**: who can read it, who can write it, and its backups. The SQLite file is created with mode
//!   0600; a file that exists keeps its mode.
//! * **The clocks** of the machines.
//! * **What the tools may do** for a caller, beyond server and scope.
