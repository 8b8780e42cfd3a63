//! Draws a chart with plotters: its title, its panels side by side, its note.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::draw::canvas::Drawing;
use crate::report::draw::chart::Chart;
use crate::report::draw::panel::{INK, PANEL_HEIGHT, PANEL_WIDTH};

/// A single panel is wider, for its note.
const ONLY_PANEL_WIDTH: u32 = 680;

const TITLE_HEIGHT: u32 = 40;

const NOTE_LINE_HEIGHT: u32 = 20;

/// Room below the note.
const BOTTOM: u32 = 8;

/// Width of a letter of the note, about.
const NOTE_LETTER: f64 = 6.9;

impl Chart {
    fn note_lines(&self) -> Vec<String> {
        let letters = (f64::from(self.width()) / NOTE_LETTER) as usize;
        let mut lines = vec![String::new()];
        for word in self.note.split(' ') {
            let last = lines.last_mut().expect("there is a line");
            if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > letters {
                lines.push(word.to_string());
            } else {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(word);
            }
        }
        lines
    }

    fn width(&self) -> u32 {
        if self.panels.len() == 1 {
            ONLY_PANEL_WIDTH
        } else {
            PANEL_WIDTH * self.panels.len() as u32
        }
    }
}

impl Drawing for Chart {
    fn size(&self) -> (u32, u32) {
        let lines = self.note_lines().len() as u32;
        (self.width(), TITLE_HEIGHT + PANEL_HEIGHT + NOTE_LINE_HEIGHT * lines + BOTTOM)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| anyhow!("drawing failed: {error}");
        area.fill(&WHITE).map_err(failed)?;
        let (title, rest) = area.split_vertically(TITLE_HEIGHT * scale);
        let (panels, note) = rest.split_vertically(PANEL_HEIGHT * scale);
        let centred = |size: u32| {
            ("sans-serif", size * scale)
                .into_font()
                .color(&INK)
                .pos(Pos::new(HPos::Center, VPos::Center))
        };
        let middle = (self.width() * scale / 2) as i32;
        title
            .draw(&Text::new(
                self.title.clone(),
                (middle, (TITLE_HEIGHT * scale / 2) as i32),
                centred(20),
            ))
            .map_err(failed)?;
        for (index, line) in self.note_lines().into_iter().enumerate() {
            let height = ((NOTE_LINE_HEIGHT * index as u32 + NOTE_LINE_HEIGHT / 2) * scale) as i32;
            note.draw(&Text::new(line, (middle, height), centred(14))).map_err(failed)?;
        }
        for (area, panel) in panels.split_evenly((1, self.panels.len())).iter().zip(&self.panels) {
            self.panel(area, panel, scale)?;
        }
        Ok(())
    }
}
