//! A chart for LaTeX: pgfplots' code, which reads the curves from the chart's CSV.

use crate::console::words::capitalised;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::draw::panel::{COLOURS, FEW_POINTS};
use crate::report::latex::{Source, caption, escaped, label};

/// Lines that a preamble needs.
const PACKAGES: [&str; 3] =
    ["\\usepackage{pgfplots}", "\\usepgfplotslibrary{groupplots}", "\\pgfplotsset{compat=1.17}"];

/// Commands that read the CSV.
const READER: &str = include_str!("reader.tex");

/// What all axes share.
const STYLE: &str = "  scale only axis, tick align=outside, tick pos=left, scaled ticks=false,\n  \
                     ymajorgrids, grid style={black!12}, unbounded coords=jump,\n  \
                     label style={font=\\small}, tick label style={font=\\footnotesize},\n  \
                     title style={font=\\small, text height=1.6ex, text depth=0.4ex},\n  \
                     legend style={font=\\scriptsize, draw=none, fill opacity=0.8,\n  \
                     text opacity=1}, legend cell align=left,\n";

/// Room for the numbers and the label of a vertical axis, and beside the last panel, in
/// millimetres.
const BESIDE_AXIS: usize = 15;

/// See [`BESIDE_AXIS`].
const BESIDE_LAST: usize = 4;

/// Between two panels that share a vertical axis.
const BETWEEN: usize = 6;

/// More entries than these stand below the panels, and names that leave no room in one.
const MOST_ENTRIES: usize = 4;

/// Width of a letter of a legend, in millimetres.
const LETTER: f64 = 1.25;

/// The same of the line before a name, with the gaps around it.
const LINE: f64 = 12.0;

/// Width of a page's text, in millimetres.
const TEXT_WIDTH: f64 = 170.0;

/// Width of a panel, in millimetres, in which a legend is as large as in the SVG.
const USUAL_WIDTH: f64 = 72.0;

/// A logarithmic axis of fewer powers of ten has ticks at 1, 2 and 5 of each.
const FEW_POWERS: f64 = 1.7;

/// Where these are fewer, it has ticks at other digits too.
const FEWEST_TICKS: usize = 3;

/// One of fewer powers of ten is labelled with plain numbers.
const PLAIN_POWERS: f64 = 4.0;

/// Values that are so many heights of the panel away from it are too far for TeX.
const FAR: f64 = 10.0;

impl Chart {
    /// The chart as LaTeX, for a report's folder of this name; `csv` has its points.
    pub fn to_latex(&self, folder: &str, csv: &str) -> String {
        let mut body = String::from(READER);
        for colour in self.colours() {
            let plotters::style::RGBColor(red, green, blue) = COLOURS[colour];
            body.push_str(&format!(
                "\\definecolor{{report{colour}}}{{RGB}}{{{red},{green},{blue}}}\n"
            ));
        }
        body.push_str(&format!(
            "\\begin{{figure*}}[htbp]\n\\centering\n\\reportdata{{\\reportfolder {}.csv}}\n\
             \\begin{{tikzpicture}}\n\\begin{{groupplot}}[\n{}]\n",
            self.name,
            self.axes()
        ));
        let below = self.legend_below();
        for panel in &self.panels {
            body.push_str(&self.panel_latex(panel, below.is_empty()));
        }
        body.push_str("\\end{groupplot}\n\\end{tikzpicture}\n");
        body.push_str(&legend(&below));
        body.push_str(&format!(
            "\\caption{{{}. {}.{}}}\\label{{{}}}\n\
             \\end{{figure*}}\n",
            caption(&self.title),
            escaped(&capitalised(&self.note)),
            self.incomplete(),
            label("fig", folder, &self.name)
        ));
        let file = format!("{}.csv", self.name);
        Source { title: &self.title, data: (&file, csv), packages: &PACKAGES, body: &body }.text()
    }

    /// Panels side by side, and the width of each in millimetres on a page whose text is 17 cm wide.
    fn columns(&self) -> (usize, f64) {
        match self.panels.len() {
            0 | 1 => (1, 91.0),
            2 | 4 => (2, 72.0),
            _ => (3, 46.0),
        }
    }

    /// The entries of a legend below the panels, where one inside of them would hide their curves.
    fn legend_below(&self) -> Vec<(String, usize)> {
        let (_, width) = self.columns();
        let is_large = self.panels.iter().any(|panel| {
            let entries = panel.networks();
            let longest = entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            entries.len() > MOST_ENTRIES || LETTER * longest as f64 + LINE > width * 0.8
        });
        let mut entries: Vec<(String, usize)> = Vec::new();
        for entry in self.panels.iter().filter(|_| is_large).flat_map(Panel::networks) {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        entries
    }

    /// The indices of its colours.
    fn colours(&self) -> Vec<usize> {
        let series = self.panels.iter().flat_map(|panel| &panel.series);
        let mut colours: Vec<usize> = series.map(|one| one.colour % COLOURS.len()).collect();
        colours.sort_unstable();
        colours.dedup();
        colours
    }

    /// Which curves are not of complete runs, as the end of the caption.
    fn incomplete(&self) -> String {
        let mut notes: Vec<String> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            let note = series.note.iter().map(|note| format!("{} ({note})", series.network));
            notes.extend(note);
        }
        notes.dedup();
        match notes.is_empty() {
            true => String::new(),
            false => format!(" Not complete: {}.", escaped(&notes.join(", "))),
        }
    }

    /// How the panels stand, and what they share.
    fn axes(&self) -> String {
        let (columns, _) = self.columns();
        let rows = self.panels.len().div_ceil(columns).max(1);
        let is_shared = self.panels.windows(2).all(|pair| pair[0].y == pair[1].y);
        let (between, at) = match is_shared {
            true => (BETWEEN, ", ylabels at=edge left, yticklabels at=edge left"),
            false => (BESIDE_AXIS, ", ylabels at=edge left"),
        };
        let beside = BESIDE_AXIS + BESIDE_LAST + between * (columns - 1);
        let part = if columns == 1 { 0.65 } else { 1.0 };
        let width = format!(
            "{:.4}*\\linewidth-{:.2}mm",
            part / columns as f64,
            beside as f64 / columns as f64
        );
        let log = if self.y_log { "  ymode=log,\n" } else { "" };
        let scale = match self.x_scale {
            1.0 => String::new(),
            scale => format!(
                "  scaled x ticks={{base 10:-{:.0}}}, xtick scale label code/.code={{}},\n",
                scale.log10()
            ),
        };
        format!(
            "  group style={{group size={columns} by {rows}, horizontal sep={between}mm, \
             vertical sep=18mm{at}}},\n  width={width}, height=0.75*({width}),\n\
             {STYLE}{scale}{log}  xlabel={{{}}}, ylabel={{{}}},\n",
            escaped(&self.x_label),
            escaped(&self.y_label)
        )
    }

    fn panel_latex(&self, panel: &Panel, has_legend: bool) -> String {
        let (_, width) = self.columns();
        let corner = self.emptiest_corner(panel, USUAL_WIDTH / width);
        let mut text = format!(
            "\\nextgroupplot[title={{{}}},\n  xmin={}, xmax={}, ymin={}, ymax={},{} \
             legend pos={} {}]\n",
            escaped(&panel.title),
            panel.x.0,
            panel.x.1,
            panel.y.0,
            panel.y.1,
            self.vertical(panel),
            if corner.low { "south" } else { "north" },
            if corner.left { "west" } else { "east" }
        );
        for series in panel.series.iter().filter(|series| !series.points.is_empty()) {
            text.push_str(&curve(series, panel));
        }
        for (network, colour) in panel.networks().into_iter().filter(|_| has_legend) {
            text.push_str(&format!(
                "\\addlegendimage{{report{}, line width=1.5pt}}\\addlegendentry{{{}}}\n",
                colour % COLOURS.len(),
                escaped(&network)
            ));
        }
        if panel.series.is_empty() {
            text.push_str("\\node at (rel axis cs:0.5,0.5) {no runs yet};\n");
        }
        text
    }

    /// What else the vertical axis of a panel needs.
    fn vertical(&self, panel: &Panel) -> String {
        let (low, high) = panel.y;
        if !self.y_log {
            let far = FAR * (high - low);
            let heights = panel.series.iter().flat_map(|series| &series.points);
            let (lowest, highest) = (low - far, high + far);
            let is_far = heights
                .map(|point| point.1)
                .any(|height| height.is_finite() && !(lowest..=highest).contains(&height));
            return match is_far {
                true => format!(" restrict y to domain*={lowest}:{highest},"),
                false => String::new(),
            };
        }
        let powers = (high / low).log10();
        let plain = if powers < PLAIN_POWERS { " log ticks with fixed point," } else { "" };
        if powers >= FEW_POWERS {
            return plain.to_string();
        }
        let ticks = |digits: &[f64]| -> Vec<String> {
            let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
            powers
                .flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)))
                .filter(|tick| (low..=high).contains(tick))
                .map(|tick| ((tick * 1e6).round() / 1e6).to_string())
                .collect()
        };
        let few = ticks(&[1.0, 2.0, 5.0]);
        let all = ticks(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        let ticks = if few.len() < FEWEST_TICKS { all } else { few };
        match ticks.is_empty() {
            true => plain.to_string(),
            false => format!("{plain} ytick={{{}}},", ticks.join(",")),
        }
    }
}

/// A legend below the panels, in as many columns as its names leave room for.
fn legend(entries: &[(String, usize)]) -> String {
    let Some(longest) = entries.iter().map(|(name, _)| name.chars().count()).max() else {
        return String::new();
    };
    let columns = (TEXT_WIDTH / (LETTER * longest as f64 + LINE)) as usize;
    let columns = columns.clamp(1, entries.len());
    let cell = |(name, colour): &(String, usize)| {
        format!(
            "\\tikz[baseline=-0.6ex]\\draw[report{}, line width=1.5pt] (0,0) -- (5mm,0); {}",
            colour % COLOURS.len(),
            escaped(name)
        )
    };
    let rows: Vec<String> = entries
        .chunks(columns)
        .map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" &\n"))
        .collect();
    format!(
        "\\par\\smallskip\n{{\\scriptsize\\begin{{tabular}}{{{}}}\n{}\n\\end{{tabular}}}}\n",
        "l".repeat(columns),
        rows.join(" \\\\\n")
    )
}

/// A curve with its band.
fn curve(series: &Series, panel: &Panel) -> String {
    let colour = series.colour % COLOURS.len();
    let dashed = if series.dashed { ", densely dashed" } else { "" };
    let width = if series.bold { "1.1pt" } else { "0.6pt" };
    let marks = match series.drawn().len() <= FEW_POINTS {
        true => ", mark=*, mark size=1.3pt, mark options={solid}",
        false => "",
    };
    let options = format!("report{colour}, line width={width}{dashed}{marks}");
    let (rows, step) = (series.points.len(), series.step());
    match series.points.iter().any(|point| point.2 > 0.0) && rows > 1 {
        true => format!(
            "\\reportband{{{options}}}{{{rows}}}{{{step}}}{{fill=report{colour}, \
             fill opacity=0.15}}{{{}}}\n",
            panel.y.0
        ),
        false => format!("\\reportcurve{{{options}}}{{{rows}}}{{{step}}}\n"),
    }
}
