//! Figures and tables as HTML.

use crate::console::words::capitalised;
use crate::report::draw::chart::Chart;
use crate::report::tables::table::{Header, RowKind, Table};

/// What a figure of the folder is called within the page.
pub fn identifier(folder: &str, name: &str) -> String {
    format!("{folder}-{name}")
}

/// A figure with its caption, and its data as a table. `command` makes it again, with files beside
/// the page; nothing where there are none.
pub fn figure_html(folder: &str, chart: &Chart, svg: &str, command: Option<&str>) -> String {
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
    let note = capitalised(&chart.note);
    let made = command.map(|command| {
        format!(
            "<p>made by <code>{}</code> · every point: {}</p>",
            escaped(command),
            files(folder, &chart.name, &["csv", "tex", "svg", "png"])
        )
    });
    let (summary, made) = match made {
        Some(made) => ("Data and command", made),
        None => ("Data", String::new()),
    };
    let caption = if rest.is_empty() { format!("{note}.") } else { format!("{rest}. {note}.") };
    format!(
        "<figure class=\"chart\" id=\"{identifier}\" data-chart=\"{identifier}\" \
         data-name=\"{name}\">\n<img alt=\"{alt}\" src=\"data:image/svg+xml;charset=utf-8,{svg}\">\n\
         <figcaption><strong>{title}.</strong> {caption}</figcaption>\n<details><summary>{summary}\
         </summary>{made}<div class=\"scroll\"><table><thead>\
         <tr><th scope=\"col\">curve</th><th scope=\"col\" class=\"number\">points</th>\
         <th scope=\"col\" class=\"number\">last value</th></tr></thead><tbody>\n{rows}</tbody>\
         </table></div></details>\n</figure>\n",
        alt = escaped(&format!("{}. {}", chart.title, chart.description)),
        svg = in_address(svg),
        title = escaped(title),
        caption = escaped(&caption),
        name = chart.name,
    )
}

/// Links to the files of a figure or table, in `folder` beside the page.
fn files(folder: &str, name: &str, kinds: &[&str]) -> String {
    let link = |kind: &&str| {
        let words = if *kind == "tex" { "LaTeX" } else { kind };
        format!("<a href=\"{folder}/{name}.{kind}\">{words}</a>")
    };
    kinds.iter().map(link).collect::<Vec<_>>().join(" · ")
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

/// A table with its caption, and links to its files, which lie in `folder` beside the page; nothing
/// where there are none.
pub fn table_html(table: &Table, folder: Option<&str>) -> String {
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
    let files = folder.map_or(String::new(), |folder| {
        let files = files(folder, &table.name, &["csv", "tex", "md"]);
        format!("<p class=\"files\">the table as {files}</p>\n")
    });
    format!(
        "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>{header}</tr></thead><tbody>\n{rows}</tbody></table></div>\n{files}",
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

/// Text that is text in HTML.
pub fn escaped(text: &str) -> String {
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
