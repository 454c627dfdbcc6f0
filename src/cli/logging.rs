//! Logs: one line an event on standard error, in text or JSON.

use crate::arguments::{LogArguments, LogFormat};
use crate::error::Error;
use std::io::IsTerminal;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Starts logging what the arguments, or else `default`, select: levels, and levels of the rooms that log.
pub fn start(arguments: &LogArguments, default: &str) -> Result<(), Error> {
    let text = arguments.log.as_deref().unwrap_or(default);
    let filter: Targets = text.parse().map_err(|error: tracing_subscriber::filter::ParseError| {
        Error::LogFilter { filter: text.to_owned(), detail: error.to_string() }
    })?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let chosen = tracing_subscriber::registry().with(filter);
    match arguments.log_format {
        LogFormat::Json => chosen.with(lines.json()).init(),
        LogFormat::Text => chosen.with(lines.with_ansi(std::io::stderr().is_terminal())).init(),
    }
    Ok(())
}
