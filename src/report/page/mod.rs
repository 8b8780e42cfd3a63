//! The report: one self-contained page with every figure, its data and the command that made it.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::report::draw::chart::Chart;
use crate::report::protocol::Protocol;
use crate::report::tables::table::{RowKind, Table};

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

/// Identifier of the section about the cost of a step.
const COST: &str = "cost-of-a-step";

/// The page. `command` is what makes it again; `problems` are runs that could not be read.
pub fn page(
    sections: &[Section],
    cost: &Cost,
    command: &str,
    problems: &[String],
) -> Result<String> {
    let mut charts = serde_json::Map::new();
    for section in sections {
        for (chart, _) in &section.charts {
            charts.insert(
                identifier(section, &chart.name),
                serde_json::to_value(rounded(chart)).context("a chart")?,
            );
        }
    }
    for (chart, _) in &cost.charts {
        charts.insert(
            format!("{COST}-{}", chart.name),
            serde_json::to_value(rounded(chart)).context("a chart")?,
        );
    }
    let data = serde_json::json!({ "charts": charts }).to_string().replace('<', "\\u003c");
    let body = body(sections, cost, command, problems)?;
    // In this order nothing that was inserted is looked at again for placeholders of the template.
    let (before_data, after_data) = TEMPLATE.split_once("{{data}}").context("the template")?;
    let (before_body, between) = before_data.split_once("{{body}}").context("the template")?;
    let head = before_body
        .replace("{{title}}", "Plain and residual nets: report")
        .replace("{{style}}", STYLE);
    Ok(format!("{head}{body}{between}{data}{}", after_data.replace("{{script}}", SCRIPT)))
}

fn identifier(section: &Section, name: &str) -> String {
    format!("{}-{name}", section.protocol.slug)
}

/// Fewer digits make a smaller page, and none of those left out can be seen.
fn rounded(chart: &Chart) -> Chart {
    let mut chart = chart.clone();
    for point in chart
        .panels
        .iter_mut()
        .flat_map(|panel| &mut panel.series)
        .flat_map(|series| &mut series.points)
    {
        let digits = if chart.y_log { 1e6 } else { 1e3 };
        (point.1, point.2) =
            ((point.1 * digits).round() / digits, (point.2 * digits).round() / digits);
    }
    chart
}

fn body(sections: &[Section], cost: &Cost, command: &str, problems: &[String]) -> Result<String> {
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
    let mut html = format!(
        "<header>\n<h1>Plain against residual nets</h1>\n<p class=\"lead\">The experiments of <a href=\"https://arxiv.org/abs/1512.03385\">Deep Residual Learning for \
         Image Recognition</a> (He, Zhang, Ren, Sun 2015), from the logs of real runs. Errors are in percent. This page is made by <code>{}</code>, from the logs \
         alone.</p>\n<nav class=\"contents\">\n{links}</nav>\n</header>\n<main>\n",
        escaped(command)
    );
    for problem in problems {
        html.push_str(&format!("<p class=\"status missing\">not read: {}</p>\n", escaped(problem)));
    }
    for section in sections {
        html.push_str(&section_html(section, command)?);
    }
    if measured {
        html.push_str(&format!("<section id=\"{COST}\">\n<h2>{}</h2>\n", cost.table.title));
        for (chart, svg) in &cost.charts {
            html.push_str(&figure_html(&format!("{COST}-{}", chart.name), chart, svg, command)?);
        }
        html.push_str(&format!("{}</section>\n", table_html(&cost.table)));
    }
    let sources = "Hover, touch or use the arrow keys on a figure to read its values; the buttons above it show and hide networks.";
    html.push_str(&format!(
        "</main>\n<footer><p>{sources}</p><p>resnet-repro {}</p></footer>\n",
        env!("CARGO_PKG_VERSION")
    ));
    Ok(html)
}

fn section_html(section: &Section, command: &str) -> Result<String> {
    let protocol = section.protocol;
    let mut html =
        format!("<section id=\"{}\">\n<h2>{}</h2>\n", protocol.slug, escaped(&protocol.title()));
    let partial = protocol.partial();
    let (class, status) = match partial.is_empty() {
        true => ("complete", format!("{} runs, all complete", protocol.runs.len())),
        false => (
            "partial",
            format!("{} runs; not complete: {}", protocol.runs.len(), partial.join(", ")),
        ),
    };
    html.push_str(&format!("<p class=\"status {class}\">{}</p>\n", escaped(&status)));
    for sentence in &section.sentences {
        html.push_str(&format!("<p>{}</p>\n", escaped(sentence)));
    }
    for (chart, svg) in &section.charts {
        html.push_str(&figure_html(&identifier(section, &chart.name), chart, svg, command)?);
    }
    for table in section.tables.iter().filter(|table| !table.rows.is_empty()) {
        html.push_str(&format!("<h3>{}</h3>\n{}", escaped(&table.title), table_html(table)));
    }
    html.push_str("</section>\n");
    Ok(html)
}

fn figure_html(identifier: &str, chart: &Chart, svg: &str, command: &str) -> Result<String> {
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
    Ok(format!(
        "<figure class=\"chart\" id=\"{identifier}\" data-chart=\"{identifier}\">\n<img alt=\"{alt}\" src=\"data:image/svg+xml;base64,{svg}\">\n\
         <figcaption><strong>{title}.</strong> {caption}</figcaption>\n<details><summary>Data and command</summary><p>made by <code>{command}</code> · \
         <a download=\"{name}.csv\" href=\"data:text/csv;base64,{csv}\">{name}.csv</a></p><div class=\"scroll\"><table><thead><tr><th scope=\"col\">curve</th>\
         <th scope=\"col\" class=\"number\">points</th><th scope=\"col\" class=\"number\">last value</th></tr></thead><tbody>\n{rows}</tbody></table></div></details>\n</figure>\n",
        alt = escaped(&format!("{}. {}", chart.title, chart.description)),
        svg = BASE64_STANDARD.encode(svg),
        title = escaped(title),
        caption = escaped(&caption),
        command = escaped(command),
        name = chart.name,
        csv = BASE64_STANDARD.encode(chart.to_csv()?),
    ))
}

fn table_html(table: &Table) -> String {
    let verdict = table.header.iter().position(|title| title == "verdict");
    let header: String = table
        .header
        .iter()
        .enumerate()
        .map(|(column, title)| {
            format!(
                "<th scope=\"col\"{}>{}</th>",
                if column == 0 || Some(column) == verdict { "" } else { " class=\"number\"" },
                escaped(title)
            )
        })
        .collect();
    let rows: String = table
        .rows
        .iter()
        .map(|row| {
            let class = match row.kind {
                RowKind::Whole => "",
                RowKind::Partial => " class=\"partial\"",
                RowKind::Missing => " class=\"missing\"",
                RowKind::Quoted => " class=\"quoted\"",
            };
            let cells: String = row
                .cells
                .iter()
                .enumerate()
                .map(|(column, cell)| match column {
                    0 => format!("<th scope=\"row\">{}</th>", escaped(cell)),
                    _ if Some(column) == verdict => format!("<td>{}</td>", chip(cell, row.kind)),
                    _ => format!("<td class=\"number\">{}</td>", escaped(cell)),
                })
                .collect();
            format!("<tr{class}>{cells}</tr>\n")
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
        text if text.starts_with("inside") => "inside",
        text if text.starts_with("outside") || text.starts_with("diverged") => "outside",
        _ => "none",
    };
    format!("<span class=\"verdict {class}\">{}</span>", escaped(verdict))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
