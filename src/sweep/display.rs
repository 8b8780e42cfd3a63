//! What a person sees of a sweep: a bar for each run in progress and one for the whole, or lines
//! where there is no terminal.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::HumanDuration;

use crate::console::bars::{Display, RunDisplay, TotalDisplay};
use crate::console::event::Event;
use crate::console::output::say;
use crate::sweep::plan::Task;
use crate::system::signals::{STOPPING, STOPPING_SHORT};

/// Without a terminal, the sweep as a whole gets a line this often, and after each run.
const LINE_EVERY: Duration = Duration::from_secs(300);

/// The screen of a sweep.
pub struct Screen {
    display: Display,
    total: TotalDisplay,
    runs: HashMap<usize, RunDisplay>,
    started: Instant,
    last_line: Instant,
    /// Whether the sweep saves and ends.
    stopping: bool,
    /// Multiply-adds that this sweep has to do, and has done, per run, and of all.
    to_do: Vec<f64>,
    done: Vec<f64>,
    all_to_do: f64,
    all_done: f64,
    /// Runs that are over.
    over: usize,
}

impl Screen {
    /// A screen for `tasks`.
    pub fn new(tasks: &[Task]) -> Screen {
        let display = Display::new(tasks.iter().map(|task| task.id.len()).max().unwrap_or(0));
        let total = display.total("sweep");
        let to_do: Vec<f64> = tasks.iter().map(Task::cost_left).collect();
        Screen {
            display,
            total,
            runs: HashMap::new(),
            started: Instant::now(),
            last_line: Instant::now(),
            stopping: false,
            done: vec![0.0; to_do.len()],
            all_to_do: to_do.iter().sum(),
            to_do,
            all_done: 0.0,
            over: tasks.iter().filter(|task| task.status.is_over()).count(),
        }
    }

    /// A run's process was started.
    pub fn start(&mut self, index: usize, task: &Task) {
        self.runs.insert(index, self.display.run(&task.id, task.run.recipe.iterations));
    }

    /// A run tells something.
    pub fn event(&mut self, index: usize, task: &Task, event: Event) {
        if let Event::Iteration(iteration) = event {
            let left = (task.cost() - task.iteration_cost() * iteration as f64).max(0.0);
            self.set_done(index, (self.to_do[index] - left).max(0.0));
        }
        if let Some(run) = self.runs.get(&index) {
            run.show(event);
        }
    }

    /// A run's process ended.
    pub fn end(&mut self, index: usize, over: bool) {
        if let Some(run) = self.runs.remove(&index) {
            self.display.retire(run);
        }
        if over {
            self.set_done(index, self.to_do[index]);
            self.over += 1;
        }
    }

    fn set_done(&mut self, index: usize, done: f64) {
        self.all_done += done - self.done[index];
        self.done[index] = done;
    }

    /// Says something about a run.
    pub fn note(&self, task: &Task, text: &str) {
        self.display.suspended(|| say(&format!("{}: {text}", task.id)));
    }

    /// From now on the whole is shown to be stopping: the bars draw over what is said once.
    pub fn stopping(&mut self) {
        self.stopping = true;
    }

    /// Shows how far the sweep is; `now` also where there is no terminal.
    pub fn total(&mut self, now: bool) {
        let (over, runs) = (self.over, self.to_do.len());
        let (done, to_do) = (self.all_done, self.all_to_do);
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = match done > 0.0 {
            true if to_do > done => format!(
                ", about {} left",
                HumanDuration(Duration::from_secs_f64((to_do - done) * elapsed / done))
            ),
            _ => String::new(),
        };
        let text = format!("{over} of {runs} runs done, {} in progress{left}", self.runs.len());
        let short = format!("{over}/{runs} runs{left}");
        let texts = match self.stopping {
            true => [STOPPING, STOPPING_SHORT].map(str::to_string).to_vec(),
            false => {
                vec![text.clone(), short.replace(", about", ","), format!("{over}/{runs}")]
            }
        };
        self.total.show(done / to_do.max(1.0), texts);
        if !self.display.is_terminal() && (now || self.last_line.elapsed() > LINE_EVERY) {
            self.last_line = Instant::now();
            let stopping = if self.stopping { "stopping; " } else { "" };
            say(&format!("sweep: {stopping}{text}"));
        }
    }
}
