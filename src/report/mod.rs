//! Numbers, sentences, tables and figures, made from logs.

mod canvas;
pub mod comparison;
pub mod figure;
mod findings;
pub mod sheet;
pub mod table;
