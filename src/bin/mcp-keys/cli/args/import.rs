//! `import`.

use std::path::PathBuf;

use clap::Args;

use super::Acting;
use super::create::Writing;

#[derive(Debug, Args)]
#[command(after_long_help = IMPORT_HELP)]
pub(crate) struct Import {
    /// The file to read, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) writing: Writing,

    #[command(flatten)]
    pub(crate) acting: Acting,
}

const IMPORT_HELP: &str = "\
Each line of FILE is one JSON object, on one line:

  {\"name\":\"ci-bot\",\"handle\":\"ATgKlpEa\",\"hash\":\"sha256:a2ee9e…\",\"servers\":[\"files\"]}

  name        What people call it
  handle      The 8 characters that follow the key's prefix
  hash        The hash of the whole key, prefix included: $argon2id$…, $2b$… or sha256:…
  and, if wanted: prefix, description, owner, active, servers (\"all\" or names), scopes, access
  (read-only or full), networks, plan, limits, quotas, metadata, created_at, expires_at

The holder of the key goes on using it. --format and --prefix say how the keys are written, where
they are not of the default format; the servers must accept that format.

For each line, one JSON object is written to standard output, whether or not --json is given:

  {\"line\":1,\"ok\":true,\"id\":\"key_…\",\"handle\":\"ATgKlpEa\",\"name\":\"ci-bot\"}
  {\"line\":2,\"ok\":false,\"error\":{\"code\":\"conflict\",\"message\":\"…\"}}

Empty lines are skipped. Lines that are good are kept, and the exit code is 1 if any was not; a
file may be imported again, keys that are there already are conflicts then.

Examples:
  mcp-keys import keys.jsonl
  mcp-keys import --format plain --prefix mgw_ - < old-keys.jsonl | jq 'select(.ok | not)'";
