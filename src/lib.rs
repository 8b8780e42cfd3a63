//! Reproduces the experiments of "Deep Residual Learning for Image Recognition" (He, Zhang, Ren, Sun; arXiv 1512.03385): plain against
//! residual networks under one protocol.
//!
//! Where things are: [`network`] is what is trained, [`dataset`] on what, [`recipe`] and [`schedule`] how; [`training`] is the loop;
//! [`run`] is one run, [`experiment`] and [`sweep`] many; [`records`] is what a run leaves behind; [`logs`], [`collection`], [`analysis`] and
//! [`report`] turn that into numbers, tables and figures; [`bench`] measures the step; [`commands`] is the command line.

pub mod analysis;
pub mod bench;
pub mod collection;
pub mod commands;
pub mod cuda_graph;
pub mod dataset;
pub mod device;
pub mod error;
pub mod experiment;
pub mod files;
pub mod interrupt;
pub mod logs;
pub mod network;
pub mod paper;
pub mod parallel;
pub mod progress;
pub mod random;
pub mod recipe;
mod recorder;
pub mod records;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sweep;
mod tensorboard;
pub mod training;
