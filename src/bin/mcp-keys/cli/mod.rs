//! The command line: `mcp-keys [--store URL] [--json] COMMAND`.
//!
//! 1. What is wrong with the command line is found before a store is opened.
//! 2. A key in clear is written by `create`, `rotate`, `default-key` and `bootstrap`, to stdout, once.
//! 3. stdout holds the answer and nothing else; remarks and errors go to stderr.
//! 4. A command ends when its change is committed and its answer written.
//! 5. Every change is made in somebody's name, which stands in the audit trail.

mod actor;
mod alerts;
mod args;
mod audit;
mod change;
mod completions;
mod connections;
mod failure;
mod find;
mod first;
mod formats;
mod import;
mod issue;
mod output;
mod owner;
mod plan;
mod read;
mod safety;
mod series;
mod standing;
mod usage;
mod values;
mod withdraw;

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use mcp_api_keys::store::KeyStore;
use mcp_api_keys::{Clock as _, KeyFormat, KeyManager, Principal, SystemClock};

use self::args::{Cli, Command};
use self::failure::{Failure, redacted};
use self::output::Output;
use crate::{gateway, setup};

/// Reads the command line, does what it says, and tells the shell how it went.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let json = cli.json;
    match act(cli) {
        Ok(code) => code,
        Err(failure) => {
            failure.report(json);
            ExitCode::from(failure.exit())
        }
    }
}

fn act(cli: Cli) -> Result<ExitCode, Failure> {
    let output = Output::new(cli.json, SystemClock::new().now().wall);
    let keys = Keys {
        url: cli.store,
        principal: actor::principal(cli.command.actor()),
    };
    match cli.command {
        Command::Serve(args) => return serve(*args, &keys),
        Command::Import(args) => return import::import(&args, &keys, output),
        Command::Revoke(args) => return withdraw::revoke(&args, &keys, output),
        Command::Create(args) => issue::create(&args, &keys, output),
        Command::Rotate(args) => issue::rotate(&args, &keys, output),
        Command::List(args) => read::list(&args, &keys, output),
        Command::Show(args) => read::show(&args, &keys, output),
        Command::Update(args) => change::update(&args, &keys, output),
        Command::Enable(args) => change::enable(&args, &keys, output),
        Command::Disable(args) => change::disable(&args, &keys, output),
        Command::EndGrace(args) => change::end_grace(&args, &keys, output),
        Command::Alerts(args) => alerts::alerts(&args, &keys, output),
        Command::Audit(args) => audit::audit(&args, &keys, output),
        Command::Usage(args) => usage::usage(&args, &keys, output),
        Command::Safety(args) => safety::safety(&args, &keys, output),
        Command::Owner(command) => owner::owner(&command, &keys, output),
        Command::Plan(command) => plan::plan(&command, &keys, output),
        Command::Connections(args) => connections::connections(&args, &keys, output),
        Command::Disconnect(args) => connections::disconnect(&args, &keys, output),
        Command::DefaultKey(args) => first::default_key(&args, &keys, output),
        Command::Bootstrap(args) => first::bootstrap(&args, &keys, output),
        Command::Delete(args) => withdraw::delete(&args, &keys, output),
        Command::Formats(args) => formats::formats(&args, output),
        Command::Completions(args) => completions::completions(&args, output),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The keys in the store that the command line names, if it names one, and who works on them.
#[derive(Debug)]
struct Keys {
    url: Option<String>,
    principal: Principal,
}

impl Keys {
    fn url(&self) -> Result<&str, Failure> {
        let url = self.url.as_deref().filter(|url| !url.is_empty());
        url.ok_or_else(|| {
            Failure::usage(
                "store",
                "no store was given: use --store sqlite://PATH or postgres://HOST/DATABASE, or set MCP_KEYS_STORE",
            )
        })
    }

    /// Opens the store, works on its keys and closes it again.
    fn manage<T>(
        &self,
        work: impl AsyncFnOnce(&KeyManager) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.manage_in(KeyFormat::default(), work)
    }

    /// The same, with new keys written in `format`.
    fn manage_in<T>(
        &self,
        format: KeyFormat,
        work: impl AsyncFnOnce(&KeyManager) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.open(format, async |manager, _| work(manager).await)
    }

    /// The same with the store, for what no manager tells.
    fn open<T>(
        &self,
        format: KeyFormat,
        work: impl AsyncFnOnce(&KeyManager, &dyn KeyStore) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let url = self.url()?;
        block_on(async {
            let store = setup::Store::open(url).await?;
            let done = match setup::announced(store.any()).and_then(setup::builder) {
                Ok(builder) => match builder
                    .format(format)
                    .usage(store.sink())
                    .alert_ledger(store.alerts())
                    .letter_ledger(store.letters())
                    .build()
                    .await
                {
                    Ok(keys) => {
                        let manager = keys.manager().acting_as(self.principal.clone());
                        work(&manager, &*store.any()).await
                    }
                    Err(error) => Err(error.into()),
                },
                Err(error) => Err(error.into()),
            };
            store.close().await;
            done
        })
    }
}

fn serve(args: gateway::ServeArgs, keys: &Keys) -> Result<ExitCode, Failure> {
    let url = keys.url()?;
    args.check().map_err(|error| Failure::of_serving(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(no_runtime)?;
    runtime.block_on(async {
        let store = setup::Store::open(url).await?;
        let served = gateway::serve(args, &store).await;
        store.close().await;
        served
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| Failure::of_serving(&error))
    })
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(no_runtime)?;
    runtime.block_on(work)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err wants it")]
fn no_runtime(error: std::io::Error) -> Failure {
    Failure::failed(format!("the program could not be started: {error}"))
}

/// Answers a command line that clap does not accept, or that asks for help.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version; a reader that has seen enough is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // The command line could not be read, so the flag is looked for by hand.
    if std::env::args_os().any(|arg| arg == OsStr::new("--json")) {
        Failure::of_clap(error).report(true);
    } else {
        let _ = write!(std::io::stderr(), "{}", redacted(&error.to_string()));
    }
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
