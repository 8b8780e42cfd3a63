//! Where figures are drawn: the same drawing as SVG and as PNG.

use std::path::Path;
use std::sync::Once;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{
    BitMapBackend, DrawingArea, DrawingBackend, FontStyle, IntoDrawingArea, SVGBackend,
};

use crate::report::draw::svg;
use crate::system::atomic_file;

/// Pixels of the PNG for one unit of the drawing, along each side.
const PNG_SCALE: u32 = 2;

/// Steps of the SVG's coordinates, which are whole numbers, for one unit of the drawing.
const SVG_SCALE: u32 = 4;

/// Each of its pixels is the mean of a square of so many drawn ones, which smooths every edge.
const OVERSAMPLING: u32 = 3;

/// A drawing of a fixed size in units; `scale` is how many pixels a unit has, for the widths of
/// lines and letters.
pub trait Drawing {
    /// Width and height in units.
    fn size(&self) -> (u32, u32);
    /// Draws on `area`.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B::ErrorType: 'static;
}

/// Writes the drawing to `path` with the endings `.svg` and `.png`, and returns the text of the
/// SVG.
pub fn write(drawing: &impl Drawing, path: &Path) -> Result<String> {
    let svg = svg_text(drawing)?;
    atomic_file::write_atomically(&path.with_extension("svg"), svg.as_bytes())?;
    write_png(drawing, &path.with_extension("png"))?;
    Ok(svg)
}

/// The drawing as the text of an SVG.
pub fn svg_text(drawing: &impl Drawing) -> Result<String> {
    register_font();
    let (width, height) = drawing.size();
    let mut text = String::new();
    {
        let steps = (width * SVG_SCALE, height * SVG_SCALE);
        let area = SVGBackend::with_string(&mut text, steps).into_drawing_area();
        drawing.draw(&area, SVG_SCALE)?;
        area.present().map_err(|error| anyhow!("an SVG: {error}"))?;
    }
    Ok(svg::compacted(&text, (width, height)))
}

fn register_font() {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        for (style, bytes) in
            [(FontStyle::Normal, notosans::REGULAR_TTF), (FontStyle::Bold, notosans::BOLD_TTF)]
        {
            // The result only says whether the bytes are a font, and these are.
            let _ = plotters::style::register_font("sans-serif", style, bytes);
        }
    });
}

fn write_png(drawing: &impl Drawing, path: &Path) -> Result<()> {
    let (width, height) = drawing.size();
    let scale = PNG_SCALE * OVERSAMPLING;
    let mut drawn = vec![255u8; (width * scale * height * scale * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut drawn, (width * scale, height * scale))
            .into_drawing_area();
        drawing.draw(&area, scale)?;
        area.present().map_err(|error| anyhow!("{}: {error}", path.display()))?;
    }
    let pixels = reduce(&drawn, (width * scale) as usize, OVERSAMPLING as usize);
    let bytes = encode_png(&pixels, width * PNG_SCALE, height * PNG_SCALE)
        .with_context(|| format!("{}: cannot be encoded", path.display()))?;
    atomic_file::write_atomically(path, &bytes)
}

/// RGB pixels as a PNG file.
pub fn encode_png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}

/// Replaces each square of `side`×`side` RGB pixels by their mean.
fn reduce(pixels: &[u8], width: usize, side: usize) -> Vec<u8> {
    let (columns, rows) = (width / side, pixels.len() / 3 / width / side);
    let mut reduced = Vec::with_capacity(columns * rows * 3);
    for row in 0..rows {
        for column in 0..columns {
            for channel in 0..3 {
                let square = (0..side)
                    .flat_map(|y| (0..side).map(move |x| (row * side + y, column * side + x)));
                let sum: u32 =
                    square.map(|(y, x)| u32::from(pixels[(y * width + x) * 3 + channel])).sum();
                reduced.push((sum / (side * side) as u32) as u8);
            }
        }
    }
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reducing_takes_the_mean_of_each_square() {
        let pixels: Vec<u8> =
            [0, 100, 10, 20, 200, 100, 30, 40].iter().flat_map(|&value| [value; 3]).collect();
        assert_eq!(reduce(&pixels, 4, 2), [100, 100, 100, 25, 25, 25]);
    }
}
