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
mod control_plane;
mod dev;
mod error;
mod files;
mod kubeconfigs;
mod logging;
mod serve;
mod tenant;
mod version;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use error::Error;
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no failure.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Command::Dev(arguments) => {
            logging::start(&arguments.log, "warn")?;
            on_runtime(dev::run(arguments))
        }
        Command::Serve(arguments) => {
            logging::start(&arguments.log, "info")?;
            on_runtime(serve::run(arguments))
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "alcove", &mut std::io::stdout());
            Ok(())
        }
        Command::Version { output } => version::print(output),
    }
}

fn on_runtime(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
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
