//! `mcp-keys`: API keys for MCP servers from the command line, and a gateway that asks for them.

mod cli;
mod gateway;
mod setup;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
