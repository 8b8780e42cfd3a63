//! What a person sees while a run trains: a bar in a terminal, now and then a line elsewhere.
//! Always on stderr.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::escape::one_line;
use crate::console::event::Event;
use crate::console::output::say;

/// Where there is no terminal, a line is printed at most this often, and after every evaluation.
const LINE_EVERY: Duration = Duration::from_secs(30);

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
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Display { bars: MultiProgress::with_draw_target(target), terminal, width }
    }

    /// The display of one run of so many iterations, shown from now on.
    pub fn run(&self, name: &str, iterations: u64) -> RunDisplay {
        let bar = self.bars.add(ProgressBar::new(iterations));
        let template = "{prefix} {bar:16.cyan/dim} {pos:>6}/{len} {wide_msg}";
        bar.set_style(
            ProgressStyle::with_template(template)
                .expect("the template is constant")
                .progress_chars("━━─"),
        );
        bar.set_prefix(format!("{:<width$}", one_line(name), width = self.width));
        bar.set_message("waiting");
        RunDisplay {
            bar,
            terminal: self.terminal,
            name: name.to_string(),
            shown: RefCell::default(),
            start: Cell::new((Instant::now(), 0)),
            last_line: Cell::new(Instant::now()),
        }
    }

    /// A bar for a whole that consists of the runs.
    pub fn total(&self, name: &str) -> TotalDisplay {
        let bar = self.bars.add(ProgressBar::new(TotalDisplay::STEPS));
        bar.set_style(
            ProgressStyle::with_template("{prefix} {bar:16.green/dim} {wide_msg}")
                .expect("the template is constant")
                .progress_chars("━━─"),
        );
        bar.set_prefix(format!("{:<width$}", one_line(name), width = self.width));
        TotalDisplay { bar }
    }

    /// Takes a run's bar away; what it said last stays as a line.
    pub fn retire(&self, run: RunDisplay) {
        let last = run.bar.message();
        self.bars.remove(&run.bar);
        if self.terminal {
            let _ = self.bars.println(format!(
                "{:<width$} {last}",
                one_line(&run.name),
                width = self.width
            ));
        }
    }

    /// Does something that writes to stderr, with the bars out of the way.
    pub fn suspended(&self, action: impl FnOnce()) {
        self.bars.suspend(action);
    }

    /// Whether stderr is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }
}

/// The display of a whole.
pub struct TotalDisplay {
    bar: ProgressBar,
}

impl TotalDisplay {
    const STEPS: u64 = 1000;

    /// Shows that `part` (0 to 1) is done.
    pub fn show(&self, part: f64, text: &str) {
        self.bar.set_position((part.clamp(0.0, 1.0) * TotalDisplay::STEPS as f64) as u64);
        self.bar.set_message(text.to_string());
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
    /// When training began, and after how many iterations.
    start: Cell<(Instant, u64)>,
    last_line: Cell<Instant>,
}

impl RunDisplay {
    /// Shows what a run tells.
    pub fn show(&self, event: Event) {
        match event {
            Event::AlreadyDone { iterations } => {
                self.bar.set_length(iterations);
                self.bar.set_position(iterations);
                self.bar.finish_with_message("done before");
                self.line("done before");
            }
            Event::Started { done, iterations } => self.start(done, iterations),
            Event::Iteration(iteration) => self.bar.set_position(iteration),
            Event::Trained { error, images_per_second } => {
                {
                    let mut shown = self.shown.borrow_mut();
                    shown.training_error = Some(error);
                    shown.images_per_second = images_per_second;
                }
                self.message("");
                if self.last_line.get().elapsed() > LINE_EVERY {
                    self.progress_line();
                }
            }
            Event::Evaluating => self.message("evaluating"),
            Event::Tested(error) => {
                self.shown.borrow_mut().test_error = Some(error);
                self.message("");
                self.progress_line();
            }
            Event::Note(text) => self.bar.suspend(|| say(&format!("{}: {text}", self.name))),
            Event::Ended(how) => {
                let message =
                    format!("{}  {how} in {}", self.errors(), HumanDuration(self.bar.elapsed()))
                        .trim_start()
                        .to_string();
                self.bar.abandon_with_message(message.clone());
                self.line(&message);
            }
        }
    }

    fn start(&self, done: u64, iterations: u64) {
        self.bar.set_length(iterations);
        self.bar.set_position(done);
        self.start.set((Instant::now(), done));
        self.bar.reset_elapsed();
        self.message("");
        match done {
            0 => self.line(&format!("{iterations} iterations")),
            _ => self.line(&format!("goes on after iteration {done} of {iterations}")),
        }
    }

    fn errors(&self) -> String {
        let shown = self.shown.borrow();
        let percent =
            |label: &str, error: Option<f64>| error.map(|error| format!("{label} {error:4.1} %"));
        [percent("training", shown.training_error), percent("test error", shown.test_error)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("  ")
    }

    fn status(&self) -> String {
        let (start, first) = self.start.get();
        let done = self.bar.position().saturating_sub(first);
        let to_do = self.bar.length().unwrap_or(0).saturating_sub(self.bar.position());
        // The mean since the start: evaluations come in between, and a shorter memory would take
        // each of them for a slow machine.
        let left = match done > 0 && to_do > 0 {
            true => format!(
                "  {} left",
                HumanDuration(start.elapsed().mul_f64(to_do as f64 / done as f64))
            ),
            false => String::new(),
        };
        format!("{}  {:.0} images/s{left}", self.errors(), self.shown.borrow().images_per_second)
    }

    fn message(&self, activity: &str) {
        let separator = if activity.is_empty() { "" } else { "  " };
        self.bar.set_message(format!("{}{separator}{activity}", self.status()));
    }

    fn progress_line(&self) {
        self.line(&format!(
            "iteration {}/{}  {}",
            self.bar.position(),
            self.bar.length().unwrap_or(0),
            self.status()
        ));
    }

    fn line(&self, text: &str) {
        if !self.terminal {
            self.last_line.set(Instant::now());
            say(&format!("{}: {text}", self.name));
        }
    }
}
