//! How far something with a known number of steps is: a bar in a terminal, now and then a line
//! elsewhere. Always on stderr.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::console::bars;
use crate::console::output::say;

/// Where there is no terminal, a line is printed at most this often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// A display of steps, which ends when it goes out of scope.
pub struct Steps {
    bar: ProgressBar,
    name: String,
    terminal: bool,
    last_line: Cell<Instant>,
}

impl Steps {
    /// A display of `total` steps, none of which is done.
    pub fn new(name: &str, total: u64) -> Steps {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::new(total);
        if !terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_style(bars::style("{prefix} {bar:16.cyan/dim} {pos}/{len} {eta} left"));
        bar.set_prefix(name.to_string());
        Steps { bar, name: name.to_string(), terminal, last_line: Cell::new(Instant::now()) }
    }

    /// Shows that `done` steps are done.
    pub fn show(&self, done: u64) {
        self.bar.set_position(done);
        if !self.terminal && self.last_line.get().elapsed() > LINE_EVERY {
            self.last_line.set(Instant::now());
            say(&format!("{}: {done}/{}", self.name, self.bar.length().unwrap_or(0)));
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
