//! What a person sees: events, bars, and results on stdout.

pub mod bars;
pub mod escape;
pub mod event;
pub mod locale;
pub mod output;
pub mod steps;
pub mod words;
