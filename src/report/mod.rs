//! Numbers, sentences, tables and figures, made from logs.

pub mod architecture_figure;
mod canvas;
pub mod chart;
pub mod comparison;
pub mod cost;
mod curves;
mod draw;
pub mod ensembles;
mod figure_4;
pub mod figures;
mod findings;
mod imagenet;
mod json;
mod networks;
pub mod page;
mod pairs;
pub mod protocol;
pub mod readme;
pub mod sheet;
pub mod table;
pub mod tables;
mod throughput;
