//! The command line's front door, nothing else: every command lives in the `cli` room.

fn main() -> std::process::ExitCode {
    alcove_cli::main()
}
