//! What a person sees while a run trains: a bar in a terminal, now and then a line elsewhere. Always on stderr.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::recipe::Recipe;
use crate::training::TrainingRow;

/// Where there is no terminal, a line is printed at most this often, and after every evaluation.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Prints a line on stderr. A reader that has gone away must not end a training of days.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The displays of several runs, one below the other.
pub struct Display {
    bars: MultiProgress,
    terminal: bool,
    width: usize,
}

impl Display {
    /// A display for runs whose names are at most `width` characters wide.
    pub fn new(width: usize) -> Display {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Display { bars: MultiProgress::with_draw_target(target), terminal, width }
    }

    /// The display of one run, shown from now on.
    pub fn run(&self, name: &str) -> RunDisplay {
        let bar = self.bars.add(ProgressBar::new(0));
        let template = "{prefix} {bar:24.cyan/dim} {pos:>6}/{len} {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is constant").progress_chars("━━─"));
        bar.set_prefix(format!("{name:<width$}", width = self.width));
        bar.set_message("waiting");
        RunDisplay {
            bar,
            terminal: self.terminal,
            name: name.to_string(),
            shown: RefCell::default(),
            last_read: Cell::new(Instant::now()),
            last_line: Cell::new(Instant::now()),
        }
    }
}

/// What is known of a run's errors and speed.
#[derive(Default)]
struct Shown {
    training_error: Option<f64>,
    test_error: Option<f64>,
    images_per_second: f64,
}

/// The display of one run.
pub struct RunDisplay {
    bar: ProgressBar,
    terminal: bool,
    name: String,
    shown: RefCell<Shown>,
    last_read: Cell<Instant>,
    last_line: Cell<Instant>,
}

impl RunDisplay {
    /// Training starts after `done` iterations.
    pub fn start(&self, done: u64, recipe: &Recipe) {
        self.bar.set_length(recipe.iterations);
        self.bar.set_position(done);
        self.bar.reset_eta();
        self.bar.reset_elapsed();
        self.last_read.set(Instant::now());
        self.message("");
        match done {
            0 => self.line(&format!("{} iterations", recipe.iterations)),
            _ => self.line(&format!("goes on after iteration {done} of {}", recipe.iterations)),
        }
    }

    /// The run was finished by an earlier call.
    pub fn already_done(&self, iterations: u64) {
        self.bar.set_length(iterations);
        self.bar.set_position(iterations);
        self.bar.finish_with_message("done before");
        self.line("done before");
    }

    /// An iteration was started.
    pub fn iteration(&self, iteration: u64) {
        self.bar.set_position(iteration);
    }

    /// Errors of some more iterations of `batch_size` images each.
    pub fn training_error(&self, rows: &[TrainingRow], batch_size: u64) {
        let elapsed = self.last_read.replace(Instant::now()).elapsed().as_secs_f64();
        {
            let mut shown = self.shown.borrow_mut();
            shown.training_error = Some(rows.iter().map(|row| f64::from(row.error)).sum::<f64>() / rows.len() as f64);
            shown.images_per_second = rows.len() as f64 * batch_size as f64 / elapsed.max(1e-9);
        }
        self.message("");
        if self.last_line.get().elapsed() > LINE_EVERY {
            self.progress_line();
        }
    }

    /// An evaluation starts.
    pub fn evaluating(&self) {
        self.message("evaluating");
    }

    /// The test error, in percent, of an evaluation that just ended.
    pub fn test_error(&self, error: f64) {
        self.shown.borrow_mut().test_error = Some(error);
        self.last_read.set(Instant::now());
        self.message("");
        self.progress_line();
    }

    /// The run ended.
    pub fn finish(&self, how: &str) {
        let message = format!("{}  {how} in {}", self.errors(), HumanDuration(self.bar.elapsed()));
        self.bar.abandon_with_message(message.clone());
        self.line(&message);
    }

    fn errors(&self) -> String {
        let shown = self.shown.borrow();
        let percent = |label: &str, error: Option<f64>| error.map(|error| format!("{label} {error:4.1} %"));
        [percent("training error", shown.training_error), percent("test error", shown.test_error)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("  ")
    }

    fn status(&self) -> String {
        let left = match self.bar.eta() {
            Duration::ZERO => String::new(),
            left => format!("  {} left", HumanDuration(left)),
        };
        format!("{}  {:.0} images/s{left}", self.errors(), self.shown.borrow().images_per_second)
    }

    fn message(&self, activity: &str) {
        let separator = if activity.is_empty() { "" } else { "  " };
        self.bar.set_message(format!("{}{separator}{activity}", self.status()));
    }

    fn progress_line(&self) {
        self.line(&format!("iteration {}/{}  {}", self.bar.position(), self.bar.length().unwrap_or(0), self.status()));
    }

    fn line(&self, text: &str) {
        if !self.terminal {
            self.last_line.set(Instant::now());
            say(&format!("{}: {text}", self.name));
        }
    }
}
