//! The report: one self-contained page with every figure, its data and the command that made it.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::report::draw::chart::Chart;
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Header, RowKind, Table};

const TEMPLATE: &str = include_str!("report.html");

const STYLE: &str = include_str!("report.css");

const SCRIPT: &str = include_str!("report.js");

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

/// Folder and identifier of the section about the cost of a step.
pub const COST: &str = "cost";

/// The same of the ledger of claims.
pub const CLAIMS: &str = "claims";

/// The page. `command` is what makes it again; `problems` are runs that could not be read.
pub fn page(
    sections: &[Section],
    cost: &Cost,
    claims: &Table,
    command: &str,
    problems: &[String],
) -> Result<String> {
    let mut charts = serde_json::Map::new();
    for section in sections {
        for (chart, _) in &section.charts {
            charts.insert(
                identifier(&section.protocol.slug, &chart.name),
                serde_json::to_value(drawn(chart)).context("a chart")?,
            );
        }
    }
    for (chart, _) in &cost.charts {
        charts.insert(
            identifier(COST, &chart.name),
            serde_json::to_value(drawn(chart)).context("a chart")?,
        );
    }
    let data = BASE64_STANDARD.encode(compressed(&serde_json::json!({ "charts": charts }))?);
    let body = body(sections, cost, claims, command, problems);
    // In this order nothing that was inserted is looked at again for placeholders of the template.
    let (before_data, after_data) = TEMPLATE.split_once("{{data}}").context("the template")?;
    let (before_body, between) = before_data.split_once("{{body}}").context("the template")?;
    let head = before_body
        .replace("{{title}}", "Plain and residual nets: report")
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

fn identifier(folder: &str, name: &str) -> String {
    format!("{folder}-{name}")
}

/// What the page draws: fewer points and digits, none of which can be seen.
fn drawn(chart: &Chart) -> Chart {
    let mut chart = chart.clone();
    let digits = if chart.y_log { 1e6 } else { 1e2 };
    let round = |value: f64| (value * digits).round() / digits;
    for series in chart.panels.iter_mut().flat_map(|panel| &mut panel.series) {
        series.points = series.drawn();
        for point in &mut series.points {
            (point.1, point.2) = (round(point.1), round(point.2));
        }
    }
    chart
}

fn body(
    sections: &[Section],
    cost: &Cost,
    claims: &Table,
    command: &str,
    problems: &[String],
) -> String {
    let measured = !cost.table.rows.is_empty();
    let mut links: String = sections
        .iter()
        .map(|section| {
            format!(
                "<a href=\"#{}\">{}</a>\n",
                section.protocol.slug,
                escaped(&section.protocol.title())
            )
        })
        .collect();
    if measured {
        links.push_str(&format!("<a href=\"#{COST}\">{}</a>\n", cost.table.title));
    }
    links.push_str(&format!("<a href=\"#{CLAIMS}\">{}</a>\n", claims.title));
    let mut html = format!(
        "<header>\n<h1>Plain against residual nets</h1>\n<p class=\"lead\">The experiments of <a href=\"https://arxiv.org/abs/1512.03385\">Deep Residual Learning for \
         Image Recognition</a> (He, Zhang, Ren, Sun 2015), from the logs of real runs. Errors are in percent. This page is made by <code>{}</code>, from the logs \
         alone.</p>\n<nav class=\"contents\">\n{links}</nav>\n</header>\n<main>\n",
        escaped(command)
    );
    for problem in problems {
        html.push_str(&format!("<p class=\"status missing\">{}</p>\n", escaped(problem)));
    }
    for section in sections {
        html.push_str(&section_html(section, command));
    }
    if measured {
        html.push_str(&format!("<section id=\"{COST}\">\n<h2>{}</h2>\n", cost.table.title));
        for (chart, svg) in &cost.charts {
            html.push_str(&figure_html(COST, chart, svg, command));
        }
        html.push_str(&format!("{}</section>\n", table_html(&cost.table)));
    }
    html.push_str(&format!(
        "<section id=\"{CLAIMS}\">\n<h2>{}</h2>\n{}</section>\n",
        claims.title,
        table_html(claims)
    ));
    let sources = "Hover, touch or use the arrow keys on a figure to read its values; the buttons above it show and hide networks.";
    html.push_str(&format!(
        "</main>\n<footer><p>{sources}</p><p>resnet-repro {}</p></footer>\n",
        env!("CARGO_PKG_VERSION")
    ));
    html
}

fn section_html(section: &Section, command: &str) -> String {
    let protocol = section.protocol;
    let mut html =
        format!("<section id=\"{}\">\n<h2>{}</h2>\n", protocol.slug, escaped(&protocol.title()));
    let partial = protocol.partial();
    let (class, status) = match partial.is_empty() {
        true => ("complete", format!("{}, all complete", protocol.count())),
        false => ("partial", format!("{}; not complete: {}", protocol.count(), partial.join(", "))),
    };
    html.push_str(&format!("<p class=\"status {class}\">{}</p>\n", escaped(&status)));
    for sentence in &section.sentences {
        html.push_str(&format!("<p>{}</p>\n", escaped(sentence)));
    }
    for (chart, svg) in &section.charts {
        html.push_str(&figure_html(&protocol.slug, chart, svg, command));
    }
    for table in section.tables.iter().filter(|table| !table.rows.is_empty()) {
        html.push_str(&format!("<h3>{}</h3>\n{}", escaped(&table.title), table_html(table)));
    }
    html.push_str("</section>\n");
    html
}

fn figure_html(folder: &str, chart: &Chart, svg: &str, command: &str) -> String {
    let identifier = identifier(folder, &chart.name);
    let last = |points: &[(f64, f64, f64)]| {
        points.last().map_or("–".to_string(), |point| format!("{:.2} at {}", point.1, point.0))
    };
    let rows: String = chart
        .panels
        .iter()
        .flat_map(|panel| &panel.series)
        .map(|series| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
                escaped(&series.label),
                series.points.len(),
                last(&series.points)
            )
        })
        .collect();
    let (title, rest) = chart.title.split_once(": ").unwrap_or((&chart.title, ""));
    let mut letters = chart.note.chars();
    let note: String = letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default();
    let caption = if rest.is_empty() { format!("{note}.") } else { format!("{rest}. {note}.") };
    format!(
        "<figure class=\"chart\" id=\"{identifier}\" data-chart=\"{identifier}\" \
         data-name=\"{name}\">\n<img alt=\"{alt}\" src=\"data:image/svg+xml;charset=utf-8,{svg}\">\n\
         <figcaption><strong>{title}.</strong> {caption}</figcaption>\n<details><summary>Data and \
         command</summary><p>made by <code>{command}</code> · every point: \
         <code>{folder}/{name}.csv</code> beside this page</p><div class=\"scroll\"><table><thead>\
         <tr><th scope=\"col\">curve</th><th scope=\"col\" class=\"number\">points</th>\
         <th scope=\"col\" class=\"number\">last value</th></tr></thead><tbody>\n{rows}</tbody>\
         </table></div></details>\n</figure>\n",
        alt = escaped(&format!("{}. {}", chart.title, chart.description)),
        svg = in_address(svg),
        title = escaped(title),
        caption = escaped(&caption),
        command = escaped(command),
        name = chart.name,
    )
}

/// An SVG as the end of a `data:` address within double quotes.
fn in_address(svg: &str) -> String {
    svg.replace('%', "%25")
        .replace('#', "%23")
        .replace('&', "&amp;")
        .replace('"', "'")
        .replace("\n<", "<")
        .replace('\n', " ")
}

fn table_html(table: &Table) -> String {
    let class = |column: &Header| if column.words { "" } else { " class=\"number\"" };
    let header: String = table
        .header
        .iter()
        .map(|column| format!("<th scope=\"col\"{}>{}</th>", class(column), escaped(&column.title)))
        .collect();
    let rows: String = table
        .rows
        .iter()
        .map(|row| {
            let kind = match row.kind {
                RowKind::Whole => "",
                RowKind::Partial => " class=\"partial\"",
                RowKind::Missing => " class=\"missing\"",
                RowKind::Quoted => " class=\"quoted\"",
                RowKind::LeftOut => " class=\"left-out\"",
            };
            let cells: String = table
                .header
                .iter()
                .zip(&row.cells)
                .enumerate()
                .map(|(place, (column, cell))| match (place, column.title.as_str()) {
                    (0, _) => format!("<th scope=\"row\">{}</th>", escaped(&cell.shown())),
                    (_, "verdict") => format!("<td>{}</td>", chip(&cell.shown(), row.kind)),
                    _ => format!("<td{}>{}</td>", class(column), escaped(&cell.shown())),
                })
                .collect();
            format!("<tr{kind}>{cells}</tr>\n")
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>{header}</tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        escaped(&table.caption)
    )
}

/// A verdict; the row's own kind already tells that it is quoted or partial.
fn chip(verdict: &str, kind: RowKind) -> String {
    let class = match verdict {
        _ if kind == RowKind::Quoted => return String::new(),
        text if text.starts_with("inside") || text.starts_with("confirmed") => "inside",
        text if ["outside", "diverged", "contradicted"]
            .iter()
            .any(|word| text.starts_with(word)) =>
        {
            "outside"
        }
        _ => "none",
    };
    format!("<span class=\"verdict {class}\">{}</span>", escaped(verdict))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_in_an_address_keeps_its_colours_words_and_quotes() {
        let svg = "<svg a=\"1\">\n<text fill=\"#282828\">\n50 % &amp; more\n</text>\n</svg>";
        assert_eq!(
            in_address(svg),
            "<svg a='1'><text fill='%23282828'> 50 %25 &amp;amp; more</text></svg>"
        );
    }
}
