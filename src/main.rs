//! Parse, dispatch, exit code.

use std::process::ExitCode;

/// Many small names and many large blocks come and go in several threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vitalsync::cli::main()
}
