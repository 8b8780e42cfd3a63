//! Charts and pictures: the same drawing as SVG and as PNG.

pub mod architecture;
pub mod canvas;
pub mod chart;
pub mod contact_sheet;
pub mod legend;
pub mod panel;
pub mod pgfplots;
pub mod plot;
pub mod svg;
