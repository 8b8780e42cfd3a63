//! The program: reads the command line, and dispatches to one file a subcommand.

use std::process::ExitCode;

use clap::Parser;
use resnet_repro::commands::{Cli, dispatch};
use resnet_repro::progress::say;
use resnet_repro::{device, error};

fn main() -> ExitCode {
    // Before anything else touches libtorch: see register_cuda.
    device::register_cuda();
    let cli = Cli::parse();
    // libtorch's errors arrive as panics; they become one line here, unless a backtrace was asked for.
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let result = std::panic::catch_unwind(|| dispatch(cli)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        let text = text.unwrap_or_default();
        Err(anyhow::anyhow!("stopped by an unexpected error: {}", text.lines().next().unwrap_or("no message")))
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say(&format!("error: {failure:#}"));
            ExitCode::from(error::exit_code(&failure))
        }
    }
}
