//! What a person sees while a run trains: a bar in a terminal, now and then a line elsewhere.
//! Always on stderr.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::escape::one_line;
use crate::console::event::Event;
use crate::console::locale;
use crate::console::output::say;
use crate::system::signals::{STOPPING, STOPPING_SHORT};

/// Terminals with fewer columns get a shorter bar.
const WIDE: usize = 100;

/// Columns where the terminal does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Spaces between the parts of a line.
const SPACES: usize = 3;

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
        bar.set_style(style("{prefix} {bar:16.cyan/dim} {pos:>6}/{len} {wide_msg}"));
        bar.set_prefix(format!("{:<width$}", one_line(name), width = self.width));
        bar.set_message("waiting");
        RunDisplay {
            bar,
            terminal: self.terminal,
            name: name.to_string(),
            shown: RefCell::default(),
            start: Cell::new((Instant::now(), 0)),
            last_line: Cell::new(Instant::now()),
            stop: None,
        }
    }

    /// A bar for a whole that consists of the runs.
    pub fn total(&self, name: &str) -> TotalDisplay {
        let bar = self.bars.add(ProgressBar::new(TotalDisplay::STEPS));
        bar.set_style(style("{prefix} {bar:16.green/dim} {wide_msg}"));
        bar.set_prefix(format!("{:<width$}", one_line(name), width = self.width));
        TotalDisplay { bar, name_width: self.width.max(name.len()) }
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

/// The style of a bar, in signs that the terminal has.
pub fn style(template: &str) -> ProgressStyle {
    let narrow = template.replace("bar:16", "bar:8");
    let template = if terminal_columns() < WIDE { &narrow } else { template };
    let signs = if locale::unicode() { "━━─" } else { "==-" };
    ProgressStyle::with_template(template).expect("the template is constant").progress_chars(signs)
}

/// Columns of the terminal at stderr.
fn terminal_columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr())
        .map_or(USUAL_COLUMNS, |(width, _)| usize::from(width.0))
}

/// The first of `texts`, longest first, that fits into what a bar and `others` columns leave of the
/// terminal; at least the last.
fn fitting(texts: Vec<String>, others: usize) -> String {
    let columns = terminal_columns();
    let bar = if columns < WIDE { 8 } else { 16 };
    fitting_in(texts, columns.saturating_sub(others + bar + SPACES))
}

fn fitting_in(mut texts: Vec<String>, room: usize) -> String {
    let last = texts.pop().unwrap_or_default();
    texts.into_iter().find(|text| text.chars().count() <= room).unwrap_or(last)
}

/// The display of a whole.
pub struct TotalDisplay {
    bar: ProgressBar,
    name_width: usize,
}

impl TotalDisplay {
    const STEPS: u64 = 1000;

    /// Shows that `part` (0 to 1) is done, with the first of `texts`, longest first, for which there
    /// is room.
    pub fn show(&self, part: f64, texts: Vec<String>) {
        self.bar.set_position((part.clamp(0.0, 1.0) * TotalDisplay::STEPS as f64) as u64);
        self.bar.set_message(fitting(texts, self.name_width));
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
    stop: Option<Arc<AtomicBool>>,
}

impl RunDisplay {
    /// The same display, which says that the run is stopping from when `stop` is set.
    pub fn stopped_by(self, stop: &Arc<AtomicBool>) -> RunDisplay {
        RunDisplay { stop: Some(Arc::clone(stop)), ..self }
    }

    fn is_stopping(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Shows what a run tells.
    pub fn show(&self, event: Event) {
        match event {
            Event::AlreadyDone { iterations } => {
                self.bar.set_length(iterations);
                self.bar.set_position(iterations);
                self.bar.finish_with_message("already complete, skipping");
                self.line("already complete, skipping");
            }
            Event::Started { done, iterations } => self.start(done, iterations),
            Event::Iteration(iteration) => {
                self.bar.set_position(iteration);
                if self.is_stopping() {
                    self.message("");
                }
            }
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
            Event::Ended(how) => self.ended(&how),
        }
    }

    fn ended(&self, how: &str) {
        let elapsed = HumanDuration(self.bar.elapsed());
        let full = format!("{}  {how} in {elapsed}", self.errors()).trim_start().to_string();
        let short = format!("{}  {how}", self.errors_as(["train", "test"]));
        let texts = vec![full.clone(), short.trim_start().to_string(), how.to_string()];
        self.bar.abandon_with_message(fitting(texts, self.columns()));
        self.line(&full);
    }

    /// Columns of the run's name and of its count of iterations.
    fn columns(&self) -> usize {
        let count = 2 * self.bar.length().unwrap_or(0).to_string().len().max(6) + 1;
        self.bar.prefix().chars().count() + count + 1
    }

    fn start(&self, done: u64, iterations: u64) {
        self.bar.set_length(iterations);
        self.bar.set_position(done);
        self.start.set((Instant::now(), done));
        self.bar.reset_elapsed();
        self.message("");
        match done {
            0 => self.line(&format!("{iterations} iterations")),
            _ => self.line(&format!("resumes after iteration {done} of {iterations}")),
        }
    }

    fn errors(&self) -> String {
        self.errors_as(["training", "test error"])
    }

    fn errors_as(&self, [training, test]: [&str; 2]) -> String {
        let shown = self.shown.borrow();
        let percent =
            |label: &str, error: Option<f64>| error.map(|error| format!("{label} {error:4.1} %"));
        [percent(training, shown.training_error), percent(test, shown.test_error)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("  ")
    }

    /// Time left, by the mean speed since the start: evaluations come in between, and a shorter
    /// memory would take each of them for a slow machine.
    fn left(&self) -> Option<HumanDuration> {
        let (start, first) = self.start.get();
        let done = self.bar.position().saturating_sub(first);
        let to_do = self.bar.length().unwrap_or(0).saturating_sub(self.bar.position());
        (done > 0 && to_do > 0)
            .then(|| HumanDuration(start.elapsed().mul_f64(to_do as f64 / done as f64)))
    }

    fn status(&self) -> String {
        let left = self.left().map_or(String::new(), |left| format!("  {left} left"));
        format!("{}  {:.0} images/s{left}", self.errors(), self.shown.borrow().images_per_second)
    }

    /// What stands beside the bar, with as much of it as the terminal has room for.
    fn message(&self, activity: &str) {
        let left = self.left().map_or(String::new(), |left| format!("  {left:#}"));
        let rate = format!("  {:.0} images/s", self.shown.borrow().images_per_second);
        let errors = self.errors_as(["train", "test"]);
        let training = self.shown.borrow().training_error;
        let training = training.map_or(String::new(), |error| format!("{error:.1} %"));
        if self.is_stopping() {
            let texts = [STOPPING, STOPPING_SHORT].map(str::to_string).to_vec();
            self.bar.set_message(fitting(texts, self.columns()));
            return;
        }
        let texts = [self.status(), format!("{errors}{rate}{left}"), format!("{errors}{left}")];
        let texts = texts.into_iter().chain([format!("{training}{left}")]);
        let separator = if activity.is_empty() { "" } else { "  " };
        let texts = texts.map(|text| format!("{text}{separator}{activity}")).collect();
        self.bar.set_message(fitting(texts, self.columns()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_that_fits_is_shown_and_the_shortest_where_none_does() {
        let texts =
            || ["training 9.5 %  2 hours left", "9.5 %  2h", "9.5 %"].map(String::from).into();
        assert_eq!(fitting_in(texts(), 28), "training 9.5 %  2 hours left");
        assert_eq!(fitting_in(texts(), 27), "9.5 %  2h");
        assert_eq!(fitting_in(texts(), 3), "9.5 %");
    }
}
