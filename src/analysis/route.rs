//! Ways through a net of blocks: which blocks, in which order, and what of each.

/// What of a block is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its shortcut alone: the residual branch is deleted. A plain block is left out.
    Shortcut,
    /// All of it, but gradients go back through its shortcut alone.
    GradientByShortcut,
    /// All of it, but gradients go back through its residual branch alone.
    GradientByBranch,
}

/// The blocks in the order in which they are passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route(pub Vec<(usize, Part)>);

impl Route {
    /// All of `blocks` blocks, in order.
    pub fn whole(blocks: usize) -> Route {
        Route((0..blocks).map(|block| (block, Part::Whole)).collect())
    }

    /// The same without the residual branches of the blocks in `deleted`.
    pub fn without(blocks: usize, deleted: &[usize]) -> Route {
        let part = |block| if deleted.contains(&block) { Part::Shortcut } else { Part::Whole };
        Route((0..blocks).map(|block| (block, part(block))).collect())
    }

    /// How many steps it has in common with the whole net from the start.
    pub fn common(&self) -> usize {
        let whole = |(place, step): (usize, &(usize, Part))| *step == (place, Part::Whole);
        self.0.iter().enumerate().take_while(|&step| whole(step)).count()
    }

    /// Kendall's rank correlation between the order of its blocks and the net's: 1 for the same
    /// order, -1 for the reverse.
    pub fn kendall_tau(&self) -> f64 {
        let order: Vec<usize> = self.0.iter().map(|&(block, _)| block).collect();
        let pairs = order.len() * order.len().saturating_sub(1) / 2;
        let mut inversions = 0;
        for (place, block) in order.iter().enumerate() {
            inversions += order[place + 1..].iter().filter(|other| *other < block).count();
        }
        if pairs == 0 { 1.0 } else { 1.0 - 2.0 * inversions as f64 / pairs as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kendalls_tau_is_that_of_scipy() {
        // scipy.stats.kendalltau([0, 1, 2, 3, 4], …).
        let tau = |order: &[usize]| {
            Route(order.iter().map(|&block| (block, Part::Whole)).collect()).kendall_tau()
        };
        assert_eq!(tau(&[0, 1, 2, 3, 4]), 1.0);
        assert_eq!(tau(&[4, 3, 2, 1, 0]), -1.0);
        assert!((tau(&[0, 3, 2, 1, 4]) - 0.4).abs() < 1e-12);
        assert!((tau(&[1, 0, 2, 4, 3]) - 0.6).abs() < 1e-12);
    }

    #[test]
    fn a_route_has_the_steps_before_its_first_change_in_common_with_the_whole() {
        assert_eq!(Route::whole(5).common(), 5);
        assert_eq!(Route::without(5, &[3, 4]).common(), 3);
        let mut exchanged = Route::whole(5);
        exchanged.0.swap(1, 2);
        assert_eq!(exchanged.common(), 1);
    }
}
