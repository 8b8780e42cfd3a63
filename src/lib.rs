//! Reproduces the experiments of "Deep Residual Learning for Image Recognition" (He, Zhang, Ren,
//! Sun; arXiv 1512.03385): plain against residual networks under one protocol.
//!
//! Imports go down this list only. [`commands`] is the command line, one file per subcommand;
//! [`sweep`] trains many runs; [`bench`] measures the step; [`report`] makes tables, figures and
//! the HTML page from [`logs`], which are logs read back; [`run`] is one run; [`analysis`] looks
//! inside a trained net; [`records`] are the files that a run leaves behind; [`training`] is the loop, its batches and its evaluation;
//! [`dataset`] and [`network`] are what is trained on and what is trained; [`config`] is what can
//! be asked for: names, the recipe, the paper's numbers; [`distributed`] joins the processes that
//! train one run together; [`console`] talks to the user; [`kernels`] are the project's own for
//! GPUs; [`system`], [`random`] and [`error`] are used by all.

pub mod analysis;
pub mod bench;
pub mod commands;
pub mod config;
pub mod console;
pub mod dataset;
pub mod distributed;
pub mod error;
pub mod kernels;
pub mod logs;
pub mod network;
pub mod random;
pub mod records;
pub mod report;
pub mod run;
pub mod sweep;
pub mod system;
pub mod training;
