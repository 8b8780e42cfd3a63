//! Charts and pictures: the same drawing as SVG and as PNG.

pub mod architecture;
pub mod canvas;
pub mod chart;
pub mod contact_sheet;
pub mod panel;
pub mod plot;
pub mod svg;
