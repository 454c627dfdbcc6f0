//! Logs: one line an event on standard error, in text or JSON.

use crate::arguments::{LogArguments, LogFormat};
use crate::error::Error;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging what the arguments, or else `default`, select.
pub fn start(arguments: &LogArguments, default: &str) -> Result<(), Error> {
    let text = arguments.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(text)
        .map_err(|error| Error::LogFilter { filter: text.to_owned(), detail: error.to_string() })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
    }
    Ok(())
}
