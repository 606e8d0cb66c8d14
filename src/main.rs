//! The `zoogate` program: parse the command line, run the verb, exit with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    zoogate::cli::main()
}
