//! Over how many iterations training errors are averaged, and how many points a curve has.

/// Iterations of an epoch of CIFAR-10 at batch 128: the longest window that a final training error
/// is averaged over.
pub const EPOCH: usize = 391;

/// How many of the last iterations a run's training error is the mean of: a sixth of the run, at
/// most an epoch.
pub fn final_window(iterations: usize) -> usize {
    (iterations / 6).clamp(1.min(iterations), EPOCH)
}

/// A curve is drawn with at most so many points; more cannot be seen.
pub const MOST_POINTS: usize = 1200;

/// How many iterations a drawn training curve is averaged over: a thirtieth of the run, at most an
/// epoch.
pub fn smoothing_window(iterations: usize) -> usize {
    (iterations / 30).clamp(1, EPOCH)
}
