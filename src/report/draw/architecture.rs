//! Networks side by side, layer by layer, as the paper's Figure 3 has them: an SVG.
//!
//! The columns are aligned: maps of one size stand at one height in all of them, and each size
//! begins where the longest column has room for it. Boxes have the colour of their number of
//! filters; shortcuts are arrows at the side, dotted where dimensions increase.

use std::fmt::Write;

use crate::network::architecture::outline::{Join, Outline, Step, StepKind};
use crate::network::architecture::table::Architecture;

/// All lengths are in pixels of the drawing.
const BOX: (f64, f64) = (168.0, 20.0);

/// From one box to the next.
const PITCH: f64 = 36.0;

/// Below a box, where shortcuts arrive (there they are added) and where the next ones begin.
const JOIN: (f64, f64) = (4.5, 9.5);

/// Between maps of different sizes, in addition.
const GROUP_GAP: f64 = 16.0;

/// Width of a column without and with shortcuts.
const COLUMN: (f64, f64) = (BOX.0 + 44.0, BOX.0 + 110.0);

/// How far the controls of a shortcut's curve are out of its column.
const REACH: f64 = 52.0;

/// Room for the map sizes at the left, and around everything.
const SIDES_WIDTH: f64 = 92.0;

const MARGIN: f64 = 20.0;

/// From the top to the image's line.
const HEADER: f64 = 92.0;

/// Fill and edge of boxes, by the power of two at or below the number of filters, from 16 on; the
/// paper's four are those of 64 to 512.
const COLOURS: [(&str, &str); 8] = [
    ("#f3e3f0", "#a9779d"),
    ("#f9e2d2", "#c08552"),
    ("#e3dcf3", "#7d6bb0"),
    ("#dcefd6", "#5f9a52"),
    ("#fbdcd9", "#c5665e"),
    ("#d6e9f7", "#4b8ab8"),
    ("#fbf0c6", "#b3952f"),
    ("#d3efe9", "#3f9c88"),
];

const PLAIN: (&str, &str) = ("#ffffff", "#7a7a7a");

/// The drawing, as the text of an SVG file.
pub fn svg(networks: &[Architecture]) -> String {
    let columns: Vec<Column> = networks.iter().map(Column::of).collect();
    let groups = groups(&columns);
    let width = 2.0 * MARGIN + SIDES_WIDTH + columns.iter().map(Column::width).sum::<f64>();
    let bottom = groups.last().map_or(HEADER, |group| group.top + group.height());
    let height = bottom + 2.0 * MARGIN;
    let names: Vec<String> = columns.iter().map(|column| column.title.clone()).collect();
    let mut text = String::new();
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"Noto Sans, Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222222\" role=\"img\">\n\
         <title>{}</title>\n<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerUnits=\"userSpaceOnUse\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0.8 L7.5 4 L0 7.2 z\" fill=\"#444444\"/></marker></defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escaped(&format!("Network architectures: {}", names.join(", ")))
    );
    sizes(&mut text, &groups, width);
    let mut left = MARGIN + SIDES_WIDTH;
    for column in &columns {
        column.draw(&mut text, left + COLUMN.0 / 2.0, &groups);
        left += column.width();
    }
    text.push_str("</svg>\n");
    text
}

/// One network.
struct Column {
    title: String,
    image_side: i64,
    outline: Outline,
}

/// Maps of one size, in all columns.
struct Group {
    side: i64,
    top: f64,
    /// Boxes of the longest column.
    rows: usize,
}

impl Group {
    fn height(&self) -> f64 {
        self.rows as f64 * PITCH
    }
}

/// The map sizes of all columns, from the largest down.
fn groups(columns: &[Column]) -> Vec<Group> {
    let count = |column: &Column, side| {
        column.outline.steps.iter().filter(|step| step.side == side).count()
    };
    let mut sides: Vec<i64> = columns
        .iter()
        .flat_map(|column| column.outline.steps.iter().map(|step| step.side))
        .collect();
    sides.sort_unstable_by(|a, b| b.cmp(a));
    sides.dedup();
    let mut top = HEADER;
    let group = |side| {
        let rows = columns.iter().map(|column| count(column, side)).max().unwrap_or(0);
        let group = Group { side, top, rows };
        top += group.height() + GROUP_GAP;
        group
    };
    sides.into_iter().map(group).collect()
}

/// The map sizes at the left, with a line between two of them.
fn sizes(text: &mut String, groups: &[Group], width: f64) {
    for group in groups {
        let line = group.top - GROUP_GAP / 2.0 - (PITCH - BOX.1) / 2.0;
        let (x, y) = (MARGIN, group.top + BOX.1 / 2.0);
        let _ = write!(
            text,
            "<line x1=\"{x}\" y1=\"{line:.1}\" x2=\"{:.1}\" y2=\"{line:.1}\" stroke=\"#dddddd\" stroke-dasharray=\"2 4\"/>\n\
             <text class=\"size\" x=\"{x}\" y=\"{y:.1}\" font-size=\"11\" fill=\"#555555\">output<tspan x=\"{x}\" dy=\"14\">size: {}</tspan></text>\n",
            width - MARGIN,
            group.side
        );
    }
}

impl Column {
    fn of(architecture: &Architecture) -> Column {
        Column {
            title: architecture.name.to_string(),
            image_side: architecture.image_side,
            outline: Outline::of(architecture),
        }
    }

    fn width(&self) -> f64 {
        if self.outline.shortcuts.is_empty() { COLUMN.0 } else { COLUMN.1 }
    }

    /// The top of each step's box.
    fn tops(&self, groups: &[Group]) -> Vec<f64> {
        let mut row = (0, 0);
        let top = |step: &Step| {
            row = if row.0 == step.side { (step.side, row.1 + 1) } else { (step.side, 0) };
            let start =
                groups.iter().find(|group| group.side == step.side).map_or(0.0, |group| group.top);
            start + row.1 as f64 * PITCH
        };
        self.outline.steps.iter().map(top).collect()
    }

    /// Draws the column around `centre`.
    fn draw(&self, text: &mut String, centre: f64, groups: &[Group]) {
        let tops = self.tops(groups);
        let _ = writeln!(
            text,
            "<text class=\"name\" x=\"{centre:.1}\" y=\"32\" font-size=\"17\" font-weight=\"bold\" text-anchor=\"middle\">{}</text>\n\
             <text x=\"{centre:.1}\" y=\"58\" text-anchor=\"middle\">image, {side}×{side}</text>",
            escaped(&self.title),
            side = self.image_side
        );
        let mut above = 63.0;
        for &top in &tops {
            arrow(text, centre, above, top);
            above = top + BOX.1;
        }
        for join in &self.outline.shortcuts {
            shortcut(text, centre, join, &tops);
        }
        for (step, &top) in self.outline.steps.iter().zip(&tops) {
            labelled_box(text, centre, top, step);
        }
    }
}

fn arrow(text: &mut String, x: f64, from: f64, to: f64) {
    let _ = writeln!(
        text,
        "<line class=\"flow\" x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\" stroke=\"#444444\" marker-end=\"url(#head)\"/>"
    );
}

/// A curve at the right of the column, from the arrow before the first step that it goes around to
/// the one after the last, where it is added before the next one begins.
fn shortcut(text: &mut String, centre: f64, join: &Join, tops: &[f64]) {
    let above = if join.after == 0 { HEADER - PITCH } else { tops[join.after - 1] };
    let (from, to) = (above + BOX.1 + JOIN.1, tops[join.to] + BOX.1 + JOIN.0);
    let (edge, out) = (centre + BOX.0 / 2.0, centre + BOX.0 / 2.0 + REACH);
    let (class, dotted) = if join.changes_shape {
        ("shortcut increases", " stroke-dasharray=\"2 4\" stroke-linecap=\"round\"")
    } else {
        ("shortcut", "")
    };
    let _ = writeln!(
        text,
        "<path class=\"{class}\" d=\"M{centre:.1} {from:.1} L{edge:.1} {from:.1} C{out:.1} {from:.1} {out:.1} {to:.1} {edge:.1} {to:.1} \
         L{:.1} {to:.1}\" fill=\"none\" stroke=\"#444444\" stroke-width=\"1.1\"{dotted} marker-end=\"url(#head)\"/>",
        centre + 1.0
    );
}

fn labelled_box(text: &mut String, centre: f64, top: f64, step: &Step) {
    let (label, class) = label(step);
    let (fill, edge) = match step.kind {
        StepKind::Convolution { .. } | StepKind::Inception { .. } => colour(step.outputs),
        _ => PLAIN,
    };
    let _ = writeln!(
        text,
        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{}\" height=\"{}\" rx=\"3\" fill=\"{fill}\" stroke=\"{edge}\"/>\
         <text x=\"{centre:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        centre - BOX.0 / 2.0,
        BOX.0,
        BOX.1,
        top + BOX.1 / 2.0 + 4.2,
        escaped(&label)
    );
}

/// What stands in a box, and its class in the SVG.
fn label(step: &Step) -> (String, &'static str) {
    let every = |stride| if stride == 1 { String::new() } else { format!(", /{stride}") };
    match step.kind {
        StepKind::Convolution { kernel, stride } => {
            (format!("{kernel}x{kernel} conv, {}{}", step.outputs, every(stride)), "conv")
        }
        StepKind::MaxPool { stride } => (format!("pool{}", every(stride)), "pool"),
        StepKind::AveragePool => ("avg pool".to_string(), "pool"),
        StepKind::FullyConnected => (format!("fc {}", step.outputs), "fc"),
        StepKind::Inception { .. } => {
            (format!("inception ({}), {}", step.name, step.outputs), "inception")
        }
    }
}

fn colour(filters: i64) -> (&'static str, &'static str) {
    let power = (filters.max(1) as u64).ilog2() as usize;
    COLOURS[power.saturating_sub(4).min(COLOURS.len() - 1)]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::Family;
    use crate::network::architecture;

    fn drawn(names: &[&str], family: Family) -> String {
        let networks: Vec<Architecture> = names
            .iter()
            .map(|name| architecture::build(name.parse().unwrap(), family, 224, 1000).unwrap())
            .collect();
        svg(&networks)
    }

    fn count(svg: &str, part: &str) -> usize {
        svg.matches(part).count()
    }

    #[test]
    fn figure_3_has_the_papers_boxes_and_arrows() {
        let svg = drawn(&["vgg-19", "plain-34", "resnet-34"], Family::Imagenet);
        assert_eq!(count(&svg, "class=\"conv\""), 16 + 33 + 33);
        assert_eq!(count(&svg, "class=\"fc\""), 3 + 1 + 1);
        // VGG's five; each 34-layer net's one, and its average pooling.
        assert_eq!(count(&svg, "class=\"pool\""), 5 + 2 + 2);
        assert_eq!(count(&svg, "class=\"shortcut"), 16);
        assert_eq!(count(&svg, "class=\"shortcut increases\""), 3);
        for label in [
            "7x7 conv, 64, /2",
            "3x3 conv, 128, /2",
            "pool, /2",
            "avg pool",
            "fc 1000",
            "fc 4096",
            "image, 224×224",
        ] {
            assert!(svg.contains(label), "{label}");
        }
        let sizes: Vec<&str> =
            svg.split("size: ").skip(1).filter_map(|rest| rest.split('<').next()).collect();
        assert_eq!(sizes, ["224", "112", "56", "28", "14", "7", "1"]);
    }

    #[test]
    fn boxes_for_maps_of_one_size_stand_at_one_height_and_none_overlap() {
        let columns: Vec<Column> = ["vgg-19", "plain-34", "googlenet"]
            .map(|name| {
                Column::of(
                    &architecture::build(name.parse().unwrap(), Family::Imagenet, 224, 1000)
                        .unwrap(),
                )
            })
            .into();
        let groups = groups(&columns);
        for column in &columns {
            let tops = column.tops(&groups);
            assert!(tops.windows(2).all(|pair| pair[1] - pair[0] >= PITCH), "{}", column.title);
            for (index, step) in column.outline.steps.iter().enumerate() {
                if index == 0 || column.outline.steps[index - 1].side != step.side {
                    assert_eq!(
                        tops[index],
                        groups.iter().find(|group| group.side == step.side).unwrap().top,
                        "{}",
                        column.title
                    );
                }
            }
        }
    }

    #[test]
    fn networks_of_every_kind_and_both_families_can_be_drawn() {
        let bottlenecks = drawn(&["resnet-50", "plain-50"], Family::Imagenet);
        assert_eq!(count(&bottlenecks, "class=\"conv\""), 2 * (1 + 3 * 16));
        assert_eq!(
            (
                count(&bottlenecks, "class=\"shortcut"),
                count(&bottlenecks, "class=\"shortcut increases\"")
            ),
            (16, 4)
        );
        let googlenet = drawn(&["googlenet"], Family::Imagenet);
        assert_eq!(count(&googlenet, "class=\"inception\""), 9);
        assert!(googlenet.contains("inception (3a), 256"));
        let small = drawn(&["plain-20", "resnet-20", "highway-19"], Family::Cifar);
        assert!(small.contains("image, 32×32"));
        assert_eq!(count(&small, "class=\"shortcut"), 9 + 13);
    }
}
