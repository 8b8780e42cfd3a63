//! Looking inside trained nets of blocks (plain, residual, pre-activation): one file a kind of
//! analysis. docs/analyses.md says what each one computes, after which paper, and what it costs.

pub mod backward;
pub mod curvature;
pub mod directions;
pub mod generalisation;
pub mod gradients;
pub mod hessian;
pub mod images;
pub mod kept;
pub mod kind;
pub mod lanczos;
pub mod landscape;
pub mod lesion;
pub mod paths;
pub mod points;
pub mod record;
pub mod responses;
pub mod route;
pub mod statistics;
pub mod subject;
pub mod surface;
pub mod walk;

#[cfg(test)]
mod tests;
