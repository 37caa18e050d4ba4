//! The binary: its work is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    quash::main()
}
