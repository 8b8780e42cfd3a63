//! Nets without some of their blocks, or with blocks exchanged (Veit et al. 2016, Figures 3 to 5).

use crate::report::analyses::analysed::Analysed;
use crate::report::analyses::part::Part;

/// What there is about lesions.
pub fn part<'a>(_analysed: &[&'a Analysed<'a>], _problems: &mut Vec<String>) -> Part {
    Part { title: "Lesions".to_string(), ..Part::default() }
}
