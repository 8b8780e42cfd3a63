//! The program: reads the command line, and dispatches to one file a subcommand.

use resnet_repro::commands;
use resnet_repro::commands::dispatch;
use resnet_repro::console::escape::one_line;
use resnet_repro::console::output::say;
use resnet_repro::error;
use resnet_repro::system::device;
use resnet_repro::system::process::leave;

fn main() {
    // Before anything else touches libtorch: see register_cuda.
    device::register_cuda();
    keep_freed_memory();
    let cli = commands::parse();
    // libtorch's errors arrive as panics; they become one line here, unless a backtrace was asked
    // for.
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let result = std::panic::catch_unwind(|| dispatch(cli)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        let text = text.unwrap_or_default();
        if ["not enough memory", "can't allocate memory", "out of memory"].iter().any(|sign| text.to_lowercase().contains(sign)) {
            return Err(anyhow::anyhow!(
                "out of memory: raise checkpoint_segments (--set checkpoint_segments=N; bench: --checkpoint-segments N), or lower batch_size (--set batch_size=N; bench: --batch N)"
            ));
        }
        Err(anyhow::anyhow!("stopped by an unexpected error: {}", text.lines().next().unwrap_or("no message")))
    });
    leave(result.unwrap_or_else(|failure| {
        say(&format!("error: {}", one_line(&format!("{failure:#}"))));
        error::exit_code(&failure)
    }))
}

/// Lets the allocator keep the memory of freed feature maps for the next ones. By default it gives
/// each large block back to the system and asks for it again, zeroed, page by page, in every
/// operation of every iteration.
fn keep_freed_memory() {
    // The second is the most that some versions of the C library take.
    const THRESHOLDS: [i32; 2] = [1 << 30, 32 << 20];
    // SAFETY: sets parameters of the C library's allocator before any thread is started.
    unsafe {
        if THRESHOLDS.iter().any(|&bytes| libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) == 1) {
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        }
    }
}
