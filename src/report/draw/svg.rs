//! Makes the SVG that plotters writes small: the dashes of a line become one path, and what is the
//! default is left out.

use std::fmt::Write;

/// The drawing of `size` units whose text plotters wrote, in steps of its own.
pub fn compacted(text: &str, (width, height): (u32, u32)) -> String {
    let mut found = String::with_capacity(text.len());
    // Attributes of the lines that are being gathered, and their path.
    let mut open: Option<(&str, String)> = None;
    for (number, line) in text.lines().enumerate() {
        if let Some((attributes, points)) = polyline(line) {
            match &mut open {
                Some((same, path)) if *same == attributes => append(path, points),
                _ => {
                    close(&mut found, open.take());
                    let mut path = String::new();
                    append(&mut path, points);
                    open = Some((attributes, path));
                }
            }
            continue;
        }
        close(&mut found, open.take());
        if let (0, Some(rest)) = (number, line.strip_prefix("<svg ")) {
            let after = rest.find("viewBox").map_or(rest, |at| &rest[at..]);
            let _ = writeln!(found, "<svg width=\"{width}\" height=\"{height}\" {after}");
        } else {
            found.push_str(&line.replace(" opacity=\"1\"", ""));
            found.push('\n');
        }
    }
    close(&mut found, open);
    found
}

/// The attributes and points of a `<polyline fill="none" … points="…"/>`.
fn polyline(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("<polyline fill=\"none\"")?;
    let (attributes, points) = rest.split_once(" points=\"")?;
    Some((attributes, points.strip_suffix("\"/>")?.trim_end()))
}

/// Adds a line through `points`, "x,y x,y …", as relative steps.
fn append(path: &mut String, points: &str) {
    let mut last: Option<(i64, i64)> = None;
    for point in points.split(' ') {
        let Some((x, y)) = point.split_once(',') else { continue };
        let (Ok(x), Ok(y)) = (x.parse::<i64>(), y.parse::<i64>()) else { continue };
        match last {
            None => {
                let _ = write!(path, "M{x},{y}l");
            }
            Some((before_x, before_y)) if (before_x, before_y) != (x, y) => {
                let _ = write!(path, "{},{} ", x - before_x, y - before_y);
            }
            Some(_) => {}
        }
        last = Some((x, y));
    }
    path.truncate(path.trim_end_matches(['l', ' ']).len());
}

fn close(found: &mut String, open: Option<(&str, String)>) {
    if let Some((attributes, path)) = open.filter(|(_, path)| !path.is_empty()) {
        let attributes = attributes.replace(" opacity=\"1\"", "");
        let _ = writeln!(
            found,
            "<path fill=\"none\" stroke-linejoin=\"round\"{attributes} d=\"{path}\"/>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_style_become_one_path_of_relative_steps() {
        let drawn = "<svg width=\"8\" height=\"4\" viewBox=\"0 0 8 4\" xmlns=\"x\">\n\
            <polyline fill=\"none\" opacity=\"1\" stroke=\"#0072B2\" stroke-width=\"4\" points=\"1,2 3,1 3,1 \"/>\n\
            <polyline fill=\"none\" opacity=\"1\" stroke=\"#0072B2\" stroke-width=\"4\" points=\"4,4 5,4 \"/>\n\
            <text x=\"1\" opacity=\"1\">\nname\n</text>\n</svg>\n";
        let expected = "<svg width=\"2\" height=\"1\" viewBox=\"0 0 8 4\" xmlns=\"x\">\n\
            <path fill=\"none\" stroke-linejoin=\"round\" stroke=\"#0072B2\" stroke-width=\"4\" d=\"M1,2l2,-1M4,4l1,0\"/>\n\
            <text x=\"1\">\nname\n</text>\n</svg>\n";
        assert_eq!(compacted(drawn, (2, 1)), expected);
    }
}
