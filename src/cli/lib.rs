//! Commands, output, kubeconfigs: how people and scripts talk to alcove.
//!
//! A command reads its arguments and a configuration, puts the other rooms together, and says in whole sentences what
//! it did or why it could not. What is composed here: a [`control_plane`] is store, API server, controllers and HTTP
//! front; `dev` is a host of these with simulated nodes, and tenants of these with syncers.
//!
//! **Invariants.** Results go to standard output, progress and logs to standard error. Every failure ends in a sentence
//! that says what to do, and in an exit code: 1 for a failure, 2 for a command that was not understood. This room must
//! not know SQL, or how a request is answered.

mod arguments;
mod commands;
mod contexts;
mod control_plane;
mod dev;
mod error;
mod files;
mod host;
mod kubeconfigs;
mod logging;
mod output;
mod rewind;
mod serve;
mod tenant;
mod tenants;
mod version;

use arguments::{Arguments, Command};
use clap::{CommandFactory, FromArgMatches};
use commands::{connect, create, delete, describe, disconnect, doctor, list, pause};
use error::Error;
use std::num::NonZero;
use std::process::ExitCode;

/// What kubectl looks for to make `kubectl alcove` of it.
const PLUGIN: &str = "kubectl-alcove";

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = match command().try_get_matches().and_then(|m| Arguments::from_arg_matches(&m)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no failure.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

/// The command line, under the name that it was called by.
fn command() -> clap::Command {
    let called = std::env::args_os().next().map(std::path::PathBuf::from);
    let is_plugin = called.is_some_and(|path| path.file_name().is_some_and(|name| name == PLUGIN));
    match is_plugin {
        true => Arguments::command().name(PLUGIN).bin_name("kubectl alcove"),
        false => Arguments::command(),
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let done = |result: Result<(), Error>| result.map(|()| ExitCode::SUCCESS);
    match arguments.command {
        Command::Dev(arguments) => {
            logging::start(&arguments.log, "warn")?;
            done(on_runtime(dev::run(arguments)))
        }
        Command::Serve(arguments) => {
            logging::start(&arguments.log, "info")?;
            done(on_runtime(serve::run(arguments)))
        }
        Command::Create(arguments) => on_runtime(create::run(*arguments)),
        Command::Connect(arguments) => on_runtime(connect::run(arguments)),
        Command::Disconnect(arguments) => disconnect::run(&arguments),
        Command::List(arguments) => on_runtime(list::run(arguments)),
        Command::Describe(arguments) => on_runtime(describe::run(arguments)),
        Command::Delete(arguments) => on_runtime(delete::run(arguments)),
        Command::Pause(arguments) => on_runtime(pause::pause(arguments)),
        Command::Resume(arguments) => on_runtime(pause::resume(arguments)),
        Command::Doctor(arguments) => on_runtime(doctor::run(arguments)),
        Command::Completion { shell } => {
            let mut command = command();
            let name = command.get_name().to_owned();
            clap_complete::generate(shell, &mut command, name, &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Version(arguments) => done(on_runtime(version::run(arguments))),
    }
}

/// Threads that requests are worked on by, at most. A tenant is small and its node large: a thread for every core of that
/// would cost memory in every tenant, since each has a heap of its own.
const WORKER_THREADS_MAX: usize = 4;

fn on_runtime<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(WORKER_THREADS_MAX))
        .enable_all()
        .build()
        .map_err(|source| Error::Runtime { source })?;
    let result = runtime.block_on(work);
    // Whatever still runs holds nothing that must be finished: stores are closed by then.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
