//! The command line's front door, nothing else: every command lives in the `cli` room.

/// Settings: `.cargo/config.toml`.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    alcove_cli::main()
}
