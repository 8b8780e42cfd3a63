//! What is made from logs: figures, tables, comparisons, judgements, LaTeX.

#[path = "../common/mod.rs"]
mod common;

mod claims;
mod compare;
mod diff;
mod figures;
mod imagenet_figures;
mod judge;
mod latex;
mod odd_names;
mod report_size;
