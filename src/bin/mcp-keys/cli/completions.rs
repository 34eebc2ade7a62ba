//! `completions`: scripts for shells.

use clap::CommandFactory as _;

use super::args::{Cli, Completions};
use super::failure::Failure;
use super::output::Output;

pub(super) fn completions(args: &Completions, output: Output) -> Result<(), Failure> {
    // The generator panics if it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mcp-keys", &mut script);
    output.text(&String::from_utf8_lossy(&script))
}
