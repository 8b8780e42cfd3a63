//! What `landscape` is asked for.

use std::path::PathBuf;

use clap::Args;

use crate::analysis::landscape::Settings;
use crate::error::{BadInput, bad_input};

/// Points along a side of the grid, and slices, at most.
const MOST: usize = 999;

/// Its options.
#[derive(Debug, Args)]
pub struct LandscapeOptions {
    /// landscape: points along each side of the grid; odd, so that the net is its centre
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = odd)]
    grid: usize,
    /// landscape: each direction is followed from minus this to this; 1 is the weights' own length
    #[arg(long, value_name = "R", default_value_t = 1.0, value_parser = range)]
    range: f64,
    /// landscape: further directions that the loss is computed along, each at 2N - 1 points
    #[arg(long, value_name = "K", default_value_t = 4, value_parser = slices)]
    slices: usize,
    /// landscape: also write the directions, as safetensors
    #[arg(long, value_name = "FILE")]
    directions: Option<PathBuf>,
}

impl LandscapeOptions {
    /// The same for the analysis.
    pub fn settings(&self) -> Settings {
        Settings {
            grid: self.grid,
            range: self.range,
            slices: self.slices as u64,
            directions: self.directions.clone(),
        }
    }
}

fn odd(text: &str) -> Result<usize, BadInput> {
    let odd = |number: &usize| (3..=MOST).contains(number) && number % 2 == 1;
    let number = text.parse().ok().filter(odd);
    number.ok_or_else(|| bad_input(format!("write an odd number from 3 to {MOST}")))
}

fn range(text: &str) -> Result<f64, BadInput> {
    let range = text.parse().ok().filter(|range: &f64| *range > 0.0 && *range <= 1000.0);
    range.ok_or_else(|| bad_input("write a number above 0, at most 1000"))
}

fn slices(text: &str) -> Result<usize, BadInput> {
    let slices = text.parse().ok().filter(|slices| (0..=MOST).contains(slices));
    slices.ok_or_else(|| bad_input(format!("write a whole number from 0 to {MOST}")))
}
