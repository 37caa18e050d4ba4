//! The entry point; the code is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    quash::main()
}
