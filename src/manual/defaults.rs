//! Every default, its reason, and when to change it.
//!
//! The rule behind them: what is not said is not granted, what an attacker can make expensive is bounded,
//! and a server that is busy says so instead of falling over.
//!
//! # Keys
//!
//! | what | default | reason | change it |
//! |---|---|---|---|
//! | prefix | `mcp_sk_` | tells people and scanners what it is | to a name of your own, with [`format`](crate::ApiKeysBuilder::format): a scanner that finds it then knows whom to call |
//! | length | 32 random base 62 characters: 8 of handle, 24 of secret (142.9 bits) | far beyond guessing; letters and digits, so that a double click selects it | not adjustable |
//! | checksum | 6 characters, CRC-32 of all that stands before | scanners can tell a key from a look-alike, and a typo costs no lookup. No security: anybody can compute it | [`without_checksum`](crate::KeyFormat::without_checksum), to match keys that exist elsewhere |
//! | accepted formats | the one that is issued | each further format is one more thing that counts as an attempt | [`accept_format`](crate::ApiKeysBuilder::accept_format), above all when the issued format changes: without it the keys already out are malformed |
//! | servers | none | a key that was made in a hurry opens nothing | [`server`](crate::NewKey::server), [`all_servers`](crate::NewKey::all_servers) |
//! | scopes | none | the same | [`scope`](crate::NewKey::scope) |
//! | networks | from everywhere | most callers have no fixed address | [`allow_from`](crate::NewKey::allow_from), [`deny_from`](crate::NewKey::deny_from) |
//! | rate limits | none | there is no number that is right for all | [`rate`](crate::NewKey::rate) |
//! | plan, quotas | none | the same | [`plan`](crate::NewKey::plan), [`quota`](crate::NewKey::quota) |
//! | tools, prompts, resources | all of the servers it opens | a rule is only as good as the layer that reads messages | [`mcp`](crate::NewKey::mcp), behind an [`McpLayer`](crate::layer::McpLayer) |
//! | signing | as the layer asks | | [`signed_only`](crate::NewKey::signed_only) |
//! | owner | a label, unless the store or a directory knows them | many owners live in another system | [`put_owner`](crate::KeyManager::put_owner), [`owner_directory`](crate::ApiKeysBuilder::owner_directory); [`known_owners_only`](crate::ApiKeysBuilder::known_owners_only) refuses the others |
//! | members | manage their own keys | | [`only_admins_change_keys`](crate::ApiKeysBuilder::only_admins_change_keys) |
//! | burst of a limit | the whole count | sixty a minute may come at once, which is what people expect of the words | [`burst`](crate::RateLimit::burst), where the server behind cannot take that |
//! | expiry | never | a key that dies on a day nobody has noted is an outage | [`expires_in`](crate::NewKey::expires_in), [`expires_at`](crate::NewKey::expires_at) |
//! | status | active | | [`inactive`](crate::NewKey::inactive) |
//! | access of a connection | read-only | an assistant that only reads does no harm that cannot be undone | [`full_access`](crate::NewConnection::full_access), for admins |
//! | access token of a connection | an hour | what a leak is good for | [`lifetimes`](crate::NewConnection::lifetimes), from a second to a day |
//! | refresh token of a connection | 30 days from the last renewal, without end | a program that is used goes on, one that is not ends by itself | [`lifetimes`](crate::NewConnection::lifetimes), up to 366 days; [`ends_at`](crate::NewConnection::ends_at) |
//! | access token after its renewal | 60 s | calls that are under way | not adjustable |
//! | access tokens of a connection at once | 4 | a program that renews all the time | not adjustable |
//! | authorization code | 60 s, remembered for 10 minutes once used | what the OAuth documents ask for | not adjustable |
//!
//! A name has at most 200 characters, a description 1,000, the reason of a revocation 500; a key at most
//! 16 rate limits, 1,000 network rules, and 16 KiB of metadata. All of that is read on a cold lookup and
//! held in memory while the key is in use.
//!
//! # Verification
//!
//! | setting | default | reason | change it |
//! |---|---|---|---|
//! | [`argon2`](crate::ApiKeysBuilder::argon2) | Argon2id, 19,456 KiB, 2 passes, 1 lane | what OWASP recommends first for passwords. A key with 142.9 random bits does not need it; see [threats](super::threats#a-thief-of-the-store) | 7,168 KiB, 5 passes, 1 lane where memory is short. Existing keys keep what they were made with. Beyond 19,456 KiB the memory of a hash is not kept for the next one: slower, and harder on the allocator |
//! | caps on stored hashes | Argon2id 64 MiB, 10 passes, 4 lanes; bcrypt cost 14, about a second of one core | a row must not decide how much memory the server takes | not adjustable |
//! | upgrade of an imported hash | when the key is first verified, if a slow hash can start at once | a key that is proven already must not keep others waiting; [threats](super::threats#imported-keys) says what that leaves | not adjustable |
//! | tag of an imported key | never | fatal for a short secret | not adjustable; [rotate](crate::KeyManager::rotate) it |
//! | [`hash_permits`](crate::ApiKeysBuilder::hash_permits) | half the cores, at least one | the other half goes on serving while many keys are new. Each permit may take the memory of one hash | more on a machine that does nothing else |
//! | [`hash_queue`](crate::ApiKeysBuilder::hash_queue) | 256 waiting | at 20 to 45 ms a hash this is more than the deadline lets through on a machine of a few cores, so the deadline decides | less, to turn callers away sooner |
//! | [`verify_deadline`](crate::ApiKeysBuilder::verify_deadline) | 2 s, for the wait for the store and for the wait for a permit, each | longer than that a client would rather retry | up, where a restart with very many keys has to be sat out |
//! | lookups at once | 64 | enough for any store, and too few to drown one | not adjustable |
//! | [`cached_keys`](crate::ApiKeysBuilder::cached_keys) | 100,000 | proofs are small, and a key that has fallen out costs a slow hash again | to the number of keys in use in one process, and some more |
//! | remembered failures | 10,000, for 5 s each | spares the store a client that retries; apart from the proofs, so that it costs them nothing | not adjustable |
//! | [`pepper`](crate::ApiKeysBuilder::pepper) | none | it is a secret to keep, and the crate cannot keep it for you | set one, where many keys are in use and a restart must be quick: a key is then verified in microseconds the first time, too |
//! | [`failure_limit`](crate::ApiKeysBuilder::failure_limit) | 100 a minute for an address | far above what a mistake makes, far below what an attack wants | up, behind a proxy that you cannot declare as trusted; `None` for never |
//! | addresses counted | 65,536; further ones share one count | bounded, and nobody's record is dropped to make room for another | not adjustable |
//!
//! There is no time to live. A remembered proof does not grow old: what may be done with the key is read
//! from its live state each time, and that state has a freshness of its own.
//!
//! # Freshness
//!
//! | setting | default | reason | change it |
//! |---|---|---|---|
//! | [`poll_interval`](crate::ApiKeysBuilder::poll_interval) | 2 s | how long other processes may lag behind. One cheap query, whatever the number of keys | down to some 100 ms, if a revocation has to travel faster; up, for one process alone |
//! | [`change_bell`](crate::ApiKeysBuilder::change_bell) | what the store has: LISTEN in PostgreSQL, nothing elsewhere | a lost ring costs no more than the interval | one of your own, where the store has none |
//! | time-out of one query | 1 s | a store that hangs must not stop the reading | not adjustable |
//! | retry while the store does not answer | 250 ms, or the interval if that is shorter | recovery should not wait for the next round | not adjustable |
//! | [`max_stale`](crate::ApiKeysBuilder::max_stale) | 60 s | a restart of the database should not be an outage of everything behind keys | to zero, if a withdrawn key must not be honoured that long while the store is away: then it is two intervals and their time-outs, 6 s. Up, if staying open matters more |
//! | [`clock`](crate::ApiKeysBuilder::clock) | the system's | | in tests: `testing::ManualClock` |
//!
//! # Owners
//!
//! | setting | default | reason | change it |
//! |---|---|---|---|
//! | [`owner_directory`](crate::ApiKeysBuilder::owner_directory) | the store of the keys | works without another system | where users are known elsewhere |
//! | [`known_owners_only`](crate::ApiKeysBuilder::known_owners_only) | off: the name of an unknown owner is a label | keys are of use before anybody has listed people | on, where every key is somebody's. With a directory it is always so |
//! | [`only_admins_change_keys`](crate::ApiKeysBuilder::only_admins_change_keys) | off: members make, change and withdraw their own keys | what people can do themselves nobody has to do for them | on, where keys are handed out |
//! | [`members_plan`](crate::ApiKeysBuilder::members_plan) | none: members choose limits, as admins do | plans are your words | set one, where a limit is a matter of price |
//!
//! # Quotas and uses
//!
//! | what | default | reason |
//! |---|---|---|
//! | units taken from the store at once | a hundredth of the quota, at least 1, at most 1,000 | a write for every hundredth request. A crash loses what was held: that much of the quota, until its period ends |
//! | giving back | after 30 s without use, and by [`flush`](crate::ApiKeys::flush) | other processes may use it |
//! | an empty quota is asked about again | after 1 s | others may have given back, and the quota may have been raised |
//! | periods | days and months of UTC | one calendar for all processes |
//! | uses are written down | every 5 s, and by [`flush`](crate::ApiKeys::flush) | never a write for a request. A crash loses 5 s of them |
//!
//! # Usage
//!
//! | setting | default | reason | change it |
//! |---|---|---|---|
//! | [`usage`](crate::ApiKeysBuilder::usage) | not recorded; on in the gateway | a library writes nothing that nobody asked for | on, to know what keys do |
//! | [`usage_interval`](crate::ApiKeysBuilder::usage_interval) | 5 s, and by [`flush`](crate::ApiKeys::flush) | what a crash may lose | longer, where the store is slow to write |
//! | [`usage_retention`](crate::ApiKeysBuilder::usage_retention) | 30 days by the hour, 400 by the day | a month to look closely, a year to compare | as long as you may keep it |
//! | [`usage_rows`](crate::ApiKeysBuilder::usage_rows) | 50,000 rows wait at most | some 25 MB while the store is away | more, for very many keys |
//! | names of operations | 64 of a key in an hour, of at most 128 bytes | callers choose names of tools | not adjustable |
//!
//! # Shared limits
//!
//! | setting | default | reason | change it |
//! |---|---|---|---|
//! | [`shared_limits`](crate::ApiKeysBuilder::shared_limits) | none: each process counts for itself | needs no other service, and no request waits | where several processes are to hold one limit |
//! | [`outage`](crate::limit::SharedLimits::outage) | each process counts for itself, from where the limit stood | neither everybody nor nobody | `Closed`, where one request too many is dear; `Open`, where a limit is a courtesy |
//! | `Redis::patience` | 50 ms a call, connecting included | what the first requests of an outage wait | more, for a server far away |
//! | looking for a server that does not answer | at once, then every 0.5 s | it is asked again within 2 s after it is back | not adjustable |
//! | how long a key is known to be over its limit | 1 s, then one request asks again | an emptied limiter is noticed soon | not adjustable |
//! | patience with any limiter | 1 s, then it has failed | one that hangs must not hold requests | not adjustable |
//! | `Redis::prefix` | `mcp-keys:` | | one for each set of keys on a server |
//! | `RedisReplayGuard::outage` | closed: 503 | who cuts a process off must not be able to send a request again | `LocalFallback`, where an outage is worse |
//! | [`quota_ledger`](crate::ApiKeysBuilder::quota_ledger) | the store | as durable as the keys | `RedisQuotaLedger`, where the store is slow to write |
//!
//! # The layer, and the caller's address
//!
//! | setting | default | reason | change it |
//! |---|---|---|---|
//! | [`server`](crate::ApiKeyLayer::server) | no name: only keys for all servers pass | a key for some servers cannot be told to be for this one | always name it |
//! | [`require_scope`](crate::ApiKeyLayer::require_scope) | none | scopes are your words | |
//! | headers | `Authorization: Bearer`, `X-API-Key` | what clients can be told to send | [`key_header`](crate::ApiKeyLayer::key_header) for one more; [`no_default_extractors`](crate::ApiKeyLayer::no_default_extractors) where `Authorization` belongs to somebody else |
//! | [keys in the path](crate::ApiKeyLayer::path_keys) | off | URLs are written down in more places than headers | on, for clients that take nothing but a URL |
//! | query string, cookies | never | they end up in logs, and in other people's requests | not adjustable |
//! | [`client_ip`](crate::ApiKeysBuilder::client_ip) | the connection's peer | a header is the caller's invention until a proxy you know has written it | [`ClientIp::behind`](crate::client_ip::ClientIp::behind), behind a proxy |
//! | [answers](crate::layer::StandardResponder) | API JSON, MCP JSON-RPC or gRPC, as the request asks | each client understands its own | [`responder`](crate::ApiKeyLayer::responder) |
//! | `WWW-Authenticate` | sent with 401, 400, and 403 for scopes | HTTP asks for it with a 401 | [`without_challenge`](crate::layer::StandardResponder::without_challenge), if clients take it as an invitation to look for OAuth |
//! | `resource_metadata` in it | absent | clients go and look | [`resource_metadata`](crate::layer::StandardResponder::resource_metadata), where such a document exists |
//! | `RateLimit`, `RateLimit-Policy` | sent, for the limit with the fewest requests left | callers can pace themselves | [`rate_limit_headers`](crate::ApiKeyLayer::rate_limit_headers) |
//! | `X-RateLimit-*` | not sent | older names for the same | [`legacy_rate_limit_headers`](crate::ApiKeyLayer::legacy_rate_limit_headers) |
//! | `Retry-After` | on 429 and 503, in whole seconds, rounded up, at least 1; 1 s for a store or pool that does not answer | a caller that waits so long has waited long enough | a responder of your own |
//! | body of a refused HTTP/1 request | read away, if announced and at most 64 KiB, for at most 250 ms | otherwise the connection closes and the client sees that instead of the 401 | not adjustable |
//!
//! # Signed requests
//!
//! Set on the [`SignedRequestLayer`](crate::SignedRequestLayer); without one, signatures are not looked at.
//!
//! | setting | default | reason | change it |
//! |---|---|---|---|
//! | [`tolerance`](crate::SignedRequestLayer::tolerance) | 300 s either way, ends included, in whole seconds | clocks are off, and requests wait in queues | less, where all clocks are kept well: it bounds replays, and the guard's memory |
//! | [`max_body`](crate::SignedRequestLayer::max_body) | 1 MiB | it is held in memory until it is verified | to what the largest honest request needs |
//! | [`body_deadline`](crate::SignedRequestLayer::body_deadline) | 10 s for the whole body | 100 KiB a second for the largest | more, for slow callers with large bodies |
//! | [`replay_guard`](crate::SignedRequestLayer::replay_guard) | none | it refuses honest requests that are alike within one second, and one process cannot speak for others | [`MemoryReplayGuard`](crate::signing::MemoryReplayGuard) for one process, a [`ReplayGuard`](crate::signing::ReplayGuard) of your own for several |
//! | how long a signature is kept | twice the tolerance, the body's deadline and 10 s: 620 s | from the earliest moment it could have passed to the latest, and a margin | follows from the two settings |
//! | patience with a guard | 2 s, then 503 | longer than that a client would rather retry | not adjustable |
//! | [`MemoryReplayGuard`](crate::signing::MemoryReplayGuard) | room for 200,000 signatures, 100,000 of one key; beyond that 503 | 322 signed requests a second without end, 161 of one key; 25 to 55 MiB when full. A signature that is forgotten early can be used twice | [`with_capacity`](crate::signing::MemoryReplayGuard::with_capacity) |
//!
//! # Rules for tools
//!
//! Of an [`McpLayer`](crate::layer::McpLayer).
//!
//! | what | default | why | change it |
//! |---|---|---|---|
//! | [`denial_style`](crate::layer::McpLayer::denial_style) | HTTP 200 with a JSON-RPC error | some clients end their session at a 403 or 429 | to `Http` where something in front counts statuses, to `Unknown` where names of tools matter |
//! | [`read_only_tools`](crate::layer::McpLayer::read_only_tools) | none | what is not declared harmless may write | to what the server declares |
//! | [`max_body`](crate::layer::McpLayer::max_body) | 4 MiB | what rmcp takes | to what the server takes |
//! | [`body_deadline`](crate::layer::McpLayer::body_deadline) | 30 s | it is held in memory meanwhile | down, where clients are near |
//! | [`max_list`](crate::layer::McpLayer::max_list) | 4 MiB | a list is held in memory until it is filtered | to what the server lists |
//! | [`tool_cost`](crate::layer::McpLayer::tool_cost) | 1 for each request, 0 for pings, notifications and answers | | to what a tool costs you |
//! | the ceiling for all messages | ten times each limit, at least 120 a minute | free messages cost work too, and no client needs more | not adjustable |
//! | [`session_secret`](crate::layer::McpLayer::session_secret) | random in each process | nothing to keep secret | where processes share sessions |
//! | [`unbound_tasks`](crate::layer::McpLayer::unbound_tasks) | off: a task is its key's, and 65,536 are remembered | servers honour the id of a task from anybody | where several processes stand in front of the same tasks, or the server asks whose they are |
//! | [`trust_headers`](crate::layer::McpLayer::trust_headers) | off: bodies are read | under older revisions all servers that were tried run what the body says, whatever the headers say | on, in front of a server that refuses messages their headers do not fit |
//! | how often the key of an open stream is looked at | every 0.5 s | a stream ends within a second | not adjustable |
//!
//! # The admin API
//!
//! | what | default | why | change it |
//! |---|---|---|---|
//! | the most of a body | 1 MiB; 8 MiB and 1,000 keys for an import | more than any key can need | not adjustable |
//! | patience with a body | 30 s | it is held in memory meanwhile | not adjustable |
//! | entries of a page | 100, at most 1,000 | a page is read at once | `limit` in the query |
//! | [origins](crate::admin::AdminApi::allow_origin) | the host that is asked | pages of others have no business there | where a page elsewhere asks |
//! | how long a create can be sent again | the key in clear for 10 min, its name for 24 h, of the last 10,000 | long enough for a retry, and no clear text lies around | not adjustable |
//!
//! # The admin page
//!
//! | what | default | reason | change it |
//! |---|---|---|---|
//! | end of a session | 30 minutes after its last request, 12 hours after it began | a browser that was left open is found by others; nobody works longer than that | not adjustable |
//! | sessions | 16 of a key, 4,096 in all; then the one used the longest ago ends | a bound on memory that one key cannot use up for all | not adjustable |
//! | cookies over TLS | where a trusted proxy says so | the page itself speaks no TLS | `AdminPage::https` |
//! | largest form | 1 MiB | the lists of a key at their longest | not adjustable |
//!
//! # Connections by OAuth
//!
//! | what | default | why | change it |
//! |---|---|---|---|
//! | access token | an hour | a program that is shown one by mistake has not shown it for long | [`lifetimes`](crate::oauth::OAuthBuilder::lifetimes) |
//! | refresh token | 30 days without use | what nobody uses ends by itself | the same |
//! | end of a connection | 365 days after consent | people forget what they have allowed | [`longest`](crate::oauth::OAuthBuilder::longest) |
//! | code | 60 s; remembered for 10 min | it is exchanged at once, or somebody else has it | not adjustable |
//! | access | read-only; full where an admin chooses it | a program is not its user | not adjustable |
//! | consent form | good for 10 min | long enough to read it | not adjustable |
//! | session of [`KeySignIn`](crate::oauth::KeySignIn) | 15 minutes after its last request, an hour after it began; 16 of a key, 4,096 in all | long enough for one question | not adjustable |
//! | [`registration`](crate::oauth::OAuthBuilder::registration) | on: 1,000 programs, 60 an hour from one address; forgotten after a day without a connection, else 90 days after their last use | most clients know no other way yet | [`without_registration`](crate::oauth::OAuthBuilder::without_registration), [`Registration`](crate::oauth::Registration) |
//! | [`client_documents`](crate::oauth::OAuthBuilder::client_documents) | off | this process would fetch what strangers name | on, where it may reach the internet |
//! | a document | 3 s, 16 KiB; kept as long as it says, between a minute and an hour, 10 minutes if it says nothing; a failure 30 s; 256 in all | | [`fetch_by`](crate::oauth::ClientDocuments::fetch_by) |
//! | [`secret`](crate::oauth::OAuthBuilder::secret) | random in each process | nothing to keep secret | where several processes serve one issuer |
//!
//! # Alerts, events, webhooks
//!
//! | what | default | why | change it |
//! |---|---|---|---|
//! | [`spike`](crate::alert::AlertSettings::spike) | 5 times what is usual, and at least 100 a minute | people notice less themselves | up, where use comes in bursts |
//! | [`errors`](crate::alert::AlertSettings::errors) | half of at least 50 requests in five minutes | a client that is set up wrongly fails always | down, where failures are rare |
//! | [`near_limit`](crate::alert::AlertSettings::near_limit), [`near_quota`](crate::alert::AlertSettings::near_quota) | 80 % | there is time to act | |
//! | [`expiring_within`](crate::alert::AlertSettings::expiring_within) | 7 days | a week has a working day | to how long a new key takes to be put in place |
//! | [`idle_for`](crate::alert::AlertSettings::idle_for) | 90 days | a key that runs once a quarter is used in them | |
//! | [`cool_down`](crate::alert::AlertSettings::cool_down) | an hour | | |
//! | [`told_per_minute`](crate::alert::AlertSettings::told_per_minute) | 30 | nobody reads more | |
//! | [`watched_keys`](crate::alert::AlertSettings::watched_keys) | 50,000 | about 25 MiB | to how many keys are in use |
//! | [`event_capacity`](crate::ApiKeysBuilder::event_capacity) | 1,024 | a second's worth | |
//! | [`letter_ledger`](crate::ApiKeysBuilder::letter_ledger) | in memory; 1,000 messages and 4 MiB in any ledger | a list that people read | a store, to keep it over a restart and see all nodes' |
//! | attempts, pause and time-out of a webhook | 6, from a second to minutes, 10 s | an outage of five minutes is bridged | `webhook::Webhook` |
//!
//! # SQLite
//!
//! | what | default | reason |
//! |---|---|---|
//! | journal | WAL | readers do not wait for writers |
//! | `synchronous` | FULL | with less, a power cut can bring a revoked key back. [`with_pool`](crate::store::SqliteStore::with_pool) refuses a pool of less |
//! | connections | 8; 1 for a database in memory | one writes, the others read |
//! | patience | 5 s for a lock, a connection, or the turn to write | long enough for another process to finish, then `Unavailable` |
//! | file mode | 0600, if the store creates the file | hashes are nobody else's business |
//! | change log | 100,000 changes | a process that has missed more reads every key again |
//! | statement logging | off | values stay out of logs |
//!
//! [`MemoryStore`](crate::store::MemoryStore) keeps a log of the same length, and nothing when the process
//! ends.
//!
