//! Reproduces the experiments of "Deep Residual Learning for Image Recognition" (He, Zhang, Ren,
//! Sun; arXiv 1512.03385): plain against residual networks under one protocol.
//!
//! Where things are: [`network`] is what is trained, [`dataset`] on what, [`recipe`] and
//! [`schedule`] how; [`training`] is the loop; [`run`] is one run, [`experiment`] and [`sweep`]
//! many; [`records`] is what a run leaves behind; [`logs`], [`collection`], [`analysis`] and
//! [`report`] turn that into numbers, tables and figures; [`bench`] measures the step; [`commands`]
//! is the command line.

pub mod bench;
pub mod commands;
pub mod config;
pub mod console;
pub mod dataset;
pub mod error;
pub mod logs;
pub mod network;
pub mod random;
pub mod records;
pub mod report;
pub mod run;
pub mod sweep;
pub mod system;
pub mod training;
