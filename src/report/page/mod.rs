//! The report: one self-contained page with every figure, its data and the command that made it.

pub mod html;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::report::draw::chart::Chart;
use crate::report::page::html::{escaped, figure_html, identifier, table_html};
use crate::report::protocol::Protocol;
use crate::report::tables::table::Table;

const TEMPLATE: &str = include_str!("report.html");

const STYLE: &str = include_str!("report.css");

const SCRIPT: &str = include_str!("report.js");

/// On an axis that is shorter, two decimals are too few.
const SMALL: f64 = 5.0;

/// A protocol with what was made of it.
pub struct Section<'a> {
    /// The protocol.
    pub protocol: &'a Protocol<'a>,
    /// What was seen, one sentence an entry.
    pub sentences: Vec<String>,
    /// Its charts, each with the text of its SVG.
    pub charts: Vec<(Chart, String)>,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// What a training step costs, where it was measured.
pub struct Cost {
    /// Its charts, each with the text of its SVG.
    pub charts: Vec<(Chart, String)>,
    /// Every measurement.
    pub table: Table,
}

/// What analyses found inside the nets, where there are any.
pub struct Inside {
    /// "5 analyses of 3 nets".
    pub count: String,
    /// Those that are not complete.
    pub partial: Vec<String>,
    /// One a kind.
    pub parts: Vec<InsidePart>,
}

/// About one kind of analysis.
pub struct InsidePart {
    /// Its heading.
    pub title: String,
    /// What was seen, one sentence an entry.
    pub sentences: Vec<String>,
    /// Its charts, each with the text of its SVG.
    pub charts: Vec<(Chart, String)>,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// How the runs of a sweep stand that is at work.
pub struct Standing {
    /// In a line, such as "2 of 6 runs done, 2 running".
    pub headline: String,
    /// One row a run.
    pub table: Table,
    /// The browser reads the page again after so many seconds; not once all runs are over.
    pub reload: Option<u64>,
}

/// What stands on the page.
pub struct Contents<'a> {
    /// How the runs stand, where they are watched.
    pub standing: Option<&'a Standing>,
    /// One section a protocol.
    pub sections: &'a [Section<'a>],
    /// The cost of a step.
    pub cost: &'a Cost,
    /// What analyses found.
    pub inside: &'a Inside,
    /// The ledger of claims.
    pub claims: &'a Table,
}

/// Folder and identifier of the section about the cost of a step.
pub const COST: &str = "cost";

/// The same of what analyses found.
pub const ANALYSES: &str = "analyses";

/// Title of that section.
pub const INSIDE: &str = "Inside the nets";

/// The same of the ledger of claims.
pub const CLAIMS: &str = "claims";

/// The same of how the runs of a sweep stand.
const STANDING: &str = "runs";

/// The page. `command` is what makes it again, with files beside it; `problems` are runs that could
/// not be read.
pub fn page(contents: &Contents, command: Option<&str>, problems: &[String]) -> Result<String> {
    let mut charts = serde_json::Map::new();
    for (folder, chart) in contents.charts() {
        let drawn = serde_json::to_value(drawn(chart)).context("a chart")?;
        charts.insert(identifier(folder, &chart.name), drawn);
    }
    let data = BASE64_STANDARD.encode(compressed(&serde_json::json!({ "charts": charts }))?);
    let body = body(contents, command, problems);
    // In this order nothing that was inserted is looked at again for placeholders of the template.
    let (before_data, after_data) = TEMPLATE.split_once("{{data}}").context("the template")?;
    let (before_body, between) = before_data.split_once("{{body}}").context("the template")?;
    let head = before_body
        .replace("{{title}}", &contents.title())
        .replace("{{reload}}", &contents.reload())
        .replace("{{style-hash}}", &policy_hash(STYLE))
        .replace("{{script-hash}}", &policy_hash(SCRIPT))
        .replace("{{style}}", STYLE);
    Ok(format!("{head}{body}{between}{data}{}", after_data.replace("{{script}}", SCRIPT)))
}

fn compressed(value: &serde_json::Value) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    serde_json::to_writer(&mut encoder, value).context("the charts' data")?;
    encoder.finish().context("the charts' data")
}

/// What a Content-Security-Policy calls the one style sheet or script that it allows.
fn policy_hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// What the page draws: fewer points and digits, none of which can be seen.
fn drawn(chart: &Chart) -> Chart {
    let mut chart = chart.clone();
    for panel in &mut chart.panels {
        let digits = if chart.y_log || panel.y.1 - panel.y.0 < SMALL { 1e6 } else { 1e2 };
        let round = |value: f64| (value * digits).round() / digits;
        for series in &mut panel.series {
            series.points = series.drawn();
            for point in &mut series.points {
                (point.1, point.2) = (round(point.1), round(point.2));
            }
        }
    }
    chart
}

impl Contents<'_> {
    /// What a browser's tab shows.
    fn title(&self) -> String {
        match self.standing {
            Some(standing) => format!("{} – plain and residual nets", escaped(&standing.headline)),
            None => "Plain and residual nets: report".to_string(),
        }
    }

    /// The line that has the browser read the page again.
    fn reload(&self) -> String {
        match self.standing.and_then(|standing| standing.reload) {
            Some(seconds) => {
                format!("\n<meta http-equiv=\"refresh\" content=\"{seconds}\">")
            }
            None => String::new(),
        }
    }

    /// Every chart, with the folder that it is in.
    fn charts(&self) -> impl Iterator<Item = (&str, &Chart)> {
        let sections = self.sections.iter();
        let drawn = sections.map(|section| (section.protocol.slug.as_str(), &section.charts));
        let inside = self.inside.parts.iter().map(|part| (ANALYSES, &part.charts));
        drawn
            .chain([(COST, &self.cost.charts)])
            .chain(inside)
            .flat_map(|(folder, charts)| charts.iter().map(move |(chart, _)| (folder, chart)))
    }

    /// The links to its sections.
    fn links(&self) -> String {
        let sections = self.sections.iter().map(|section| {
            let title = section.protocol.title();
            (section.protocol.slug.as_str(), title)
        });
        let cost =
            (!self.cost.table.rows.is_empty()).then(|| (COST, self.cost.table.title.clone()));
        let inside = (!self.inside.parts.is_empty()).then(|| (ANALYSES, INSIDE.to_string()));
        let claims = (!self.claims.rows.is_empty()).then(|| (CLAIMS, self.claims.title.clone()));
        sections
            .chain(cost)
            .chain(inside)
            .chain(claims)
            .map(|(anchor, title)| format!("<a href=\"#{anchor}\">{}</a>\n", escaped(&title)))
            .collect()
    }
}

fn body(contents: &Contents, command: Option<&str>, problems: &[String]) -> String {
    let made = command.map_or(String::new(), |command| {
        format!(" This page is made by <code>{}</code>, from the logs alone.", escaped(command))
    });
    let mut html = format!(
        "<header>\n<h1>Plain against residual nets</h1>\n<p class=\"lead\">The experiments of <a href=\"https://arxiv.org/abs/1512.03385\">Deep Residual Learning for \
         Image Recognition</a> (He, Zhang, Ren, Sun 2015), from the logs of real runs. Errors are in percent.{made}</p>\n<nav class=\"contents\">\n{}</nav>\n</header>\n<main>\n",
        contents.links()
    );
    if let Some(standing) = contents.standing {
        html.push_str(&standing_html(standing));
    }
    for problem in problems {
        html.push_str(&format!("<p class=\"status missing\">{}</p>\n", escaped(problem)));
    }
    for section in contents.sections {
        html.push_str(&section_html(section, command));
    }
    let (cost, claims) = (contents.cost, contents.claims);
    if !cost.table.rows.is_empty() {
        html.push_str(&format!("<section id=\"{COST}\">\n<h2>{}</h2>\n", cost.table.title));
        for (chart, svg) in &cost.charts {
            html.push_str(&figure_html(COST, chart, svg, command));
        }
        let files = command.map(|_| COST);
        html.push_str(&format!("{}</section>\n", table_html(&cost.table, files)));
    }
    if !contents.inside.parts.is_empty() {
        html.push_str(&inside_html(contents.inside, command));
    }
    if !claims.rows.is_empty() {
        html.push_str(&format!(
            "<section id=\"{CLAIMS}\">\n<h2>{}</h2>\n{}</section>\n",
            claims.title,
            table_html(claims, command.map(|_| CLAIMS))
        ));
    }
    let sources = "Hover, touch or use the arrow keys on a figure to read its values; the buttons above it show and hide networks.";
    html.push_str(&format!(
        "</main>\n<footer><p>{sources}</p><p>resnet-repro {}</p></footer>\n",
        env!("CARGO_PKG_VERSION")
    ));
    html
}

/// How the runs stand.
fn standing_html(standing: &Standing) -> String {
    let class = if standing.reload.is_none() { "complete" } else { "partial" };
    format!(
        "<section id=\"{STANDING}\">\n<h2>{}</h2>\n<p class=\"status {class}\">{}</p>\n{}</section>\n",
        escaped(&standing.table.title),
        escaped(&standing.headline),
        table_html(&standing.table, None)
    )
}

fn section_html(section: &Section, command: Option<&str>) -> String {
    let protocol = section.protocol;
    let mut html =
        format!("<section id=\"{}\">\n<h2>{}</h2>\n", protocol.slug, escaped(&protocol.title()));
    html.push_str(&status_html(&protocol.count(), &protocol.partial()));
    for sentence in &section.sentences {
        html.push_str(&format!("<p>{}</p>\n", escaped(sentence)));
    }
    for (chart, svg) in &section.charts {
        html.push_str(&figure_html(&protocol.slug, chart, svg, command));
    }
    for table in section.tables.iter().filter(|table| !table.rows.is_empty()) {
        let files = command.map(|_| protocol.slug.as_str());
        let (title, shown) = (escaped(&table.title), table_html(table, files));
        html.push_str(&format!("<h3>{title}</h3>\n{shown}"));
    }
    html.push_str("</section>\n");
    html
}

/// "5 runs, all complete", or what is not.
fn status_html(count: &str, partial: &[String]) -> String {
    let (class, status) = match partial.is_empty() {
        true => ("complete", format!("{count}, all complete")),
        false => ("partial", format!("{count}; not complete: {}", partial.join(", "))),
    };
    format!("<p class=\"status {class}\">{}</p>\n", escaped(&status))
}

/// The section of analyses: a part for each kind.
fn inside_html(inside: &Inside, command: Option<&str>) -> String {
    let mut html = format!("<section id=\"{ANALYSES}\">\n<h2>{INSIDE}</h2>\n");
    html.push_str(&status_html(&inside.count, &inside.partial));
    for part in &inside.parts {
        html.push_str(&format!("<h3>{}</h3>\n", escaped(&part.title)));
        for sentence in &part.sentences {
            html.push_str(&format!("<p>{}</p>\n", escaped(sentence)));
        }
        for (chart, svg) in &part.charts {
            html.push_str(&figure_html(ANALYSES, chart, svg, command));
        }
        for table in part.tables.iter().filter(|table| !table.rows.is_empty()) {
            html.push_str(&table_html(table, command.map(|_| ANALYSES)));
        }
    }
    html.push_str("</section>\n");
    html
}
