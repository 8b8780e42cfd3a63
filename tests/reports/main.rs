//! What is made from logs: figures, tables, comparisons, judgements, LaTeX.

#[path = "../common/mod.rs"]
mod common;

mod claims;
mod compare;
mod diff;
mod figures;
mod imagenet_figures;
mod inside_the_nets;
mod judge;
mod latex;
mod odd_names;
mod odd_runs;
mod paper_runs;
mod report_size;
mod table_6;
