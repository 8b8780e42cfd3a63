//! LaTeX: any text as it is typeset, and files that compile alone as well as inside of a paper.

use crate::console::words::capitalised;
use crate::system::hash::sha256;

/// Letters with accents that LaTeX's default fonts have.
const ACCENTED: &str = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ\
                        ĆćČčĚěŁłŃńŇňŐőŒœŘřŚśŠšŮůŰűŹźŻżŽž";

/// Text as LaTeX typesets it, whatever it holds: no command, comment, cell or argument of its own.
/// A letter that the default fonts do not have is named by its code.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut is_quoted = false;
    let mut last = None;
    for letter in text.chars() {
        // Two of these in a row are another sign.
        if last == Some(letter) && matches!(letter, '-' | ',' | '\'') {
            escaped.push_str("{}");
        }
        last = Some(letter);
        match letter {
            '_' | '&' | '%' | '$' | '#' | '{' | '}' => escaped.extend(['\\', letter]),
            // After the end of a row these are arguments of it.
            '[' | ']' | '*' => escaped.extend(['{', letter, '}']),
            '"' => {
                is_quoted = !is_quoted;
                escaped.push_str(if is_quoted { "``" } else { "''" });
            }
            ' '..='~' if named(letter).is_none() => escaped.push(letter),
            letter if letter.is_control() => escaped.push(' '),
            letter if ACCENTED.contains(letter) => escaped.push(letter),
            letter => match named(letter) {
                Some(name) => escaped.push_str(name),
                None => escaped.push_str(&format!("{{[}}U+{:04X}{{]}}", u32::from(letter))),
            },
        }
    }
    escaped
}

/// What LaTeX calls a letter.
fn named(letter: char) -> Option<&'static str> {
    Some(match letter {
        '\\' => "\\textbackslash{}",
        '~' => "\\textasciitilde{}",
        '^' => "\\textasciicircum{}",
        '`' => "\\textasciigrave{}",
        '<' => "\\textless{}",
        '>' => "\\textgreater{}",
        '|' => "\\textbar{}",
        '\u{a0}' => "~",
        '–' => "--",
        '—' => "---",
        '‘' => "`",
        '’' => "'",
        '“' => "``",
        '”' => "''",
        '…' => "\\dots{}",
        '±' => "$\\pm$",
        '−' => "$-$",
        '×' => "$\\times$",
        '·' => "$\\cdot$",
        '≈' => "$\\approx$",
        '≤' => "$\\leq$",
        '≥' => "$\\geq$",
        '→' => "$\\to$",
        '∞' => "$\\infty$",
        '°' => "$^\\circ$",
        '√' => "$\\surd$",
        '⁰' => "$^0$",
        '¹' => "$^1$",
        '²' => "$^2$",
        '³' => "$^3$",
        '⁴' => "$^4$",
        '⁵' => "$^5$",
        '⁶' => "$^6$",
        '⁷' => "$^7$",
        '⁸' => "$^8$",
        '⁹' => "$^9$",
        '₁' => "$_1$",
        '₂' => "$_2$",
        'α' => "$\\alpha$",
        'β' => "$\\beta$",
        'γ' => "$\\gamma$",
        'λ' => "$\\lambda$",
        'µ' | 'μ' => "$\\mu$",
        'σ' => "$\\sigma$",
        'τ' => "$\\tau$",
        _ => return None,
    })
}

/// A title as a caption: a figure or table of the paper is numbered anew where it is included, so
/// its number there stands behind what it shows.
pub fn caption(title: &str) -> String {
    let of_paper = |head: &str| {
        ["Figure ", "Table "].iter().any(|what| {
            head.strip_prefix(what).is_some_and(|rest| rest.starts_with(|x: char| x.is_numeric()))
        })
    };
    match title.split_once(": ") {
        Some((head, rest)) if of_paper(head) => {
            format!("{} (as {} of He et al.\\ 2015)", escaped(&capitalised(rest)), escaped(head))
        }
        _ => escaped(title),
    }
}

/// What `\ref` calls it: `tab:cifar10-64000-table-6`.
pub fn label(kind: &str, folder: &str, name: &str) -> String {
    let clean = |text: &str| {
        let is_kept = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
        text.chars().map(|letter| if is_kept(letter) { letter } else { '-' }).collect::<String>()
    };
    format!("{kind}:{}-{}", clean(folder), clean(name))
}

/// A file that compiles alone, and inside of a document whose preamble has the same `packages`.
pub struct Source<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Name and text of the CSV file beside it.
    pub data: (&'a str, &'a str),
    /// Lines of a preamble.
    pub packages: &'a [&'a str],
    /// What stands between the document's beginning and end.
    pub body: &'a str,
}

impl Source<'_> {
    /// Its text.
    pub fn text(&self) -> String {
        let (file, csv) = self.data;
        let hash = sha256(csv.as_bytes());
        // A comment ends at the end of its line.
        let title: String = self
            .title
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        let packages: String = self.packages.iter().map(|line| format!("  {line}\n")).collect();
        format!(
            "% {title}\n\
             % Made by \"resnet-repro figures\". Data: {file}, SHA-256 {hash}\n\
             % Compiles alone; in a paper, \\input it where the preamble has the packages below.\n\
             \\expandafter\\ifx\\csname @twoclasseserror\\endcsname\\documentclass\n  \
             \\let\\reportend\\relax\n\
             \\else\n  \
             \\documentclass{{article}}\n  \
             \\usepackage[margin=20mm]{{geometry}}\n\
             {packages}  \
             \\pagestyle{{empty}}\n  \
             \\begin{{document}}\n  \
             \\def\\reportend{{\\end{{document}}}}\n\
             \\fi\n\
             {}\\reportend\n",
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_that_latex_reads_in_its_own_way_is_escaped() {
        assert_eq!(
            escaped(r"_&%$#{}~^\"),
            r"\_\&\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}"
        );
        assert_eq!(
            escaped("[a]* \"b\" --c <|> 1–2 ± 3"),
            "{[}a{]}{*} ``b'' -{}-c \\textless{}\\textbar{}\\textgreater{} 1--2 $\\pm$ 3"
        );
        assert_eq!(escaped("Zürich\n中"), "Zürich {[}U+4E2D{]}");
    }

    #[test]
    fn the_papers_number_of_a_figure_stands_behind_what_it_shows() {
        assert_eq!(
            caption("Table 6 and Figure 6: test error (%)"),
            "Test error (\\%) (as Table 6 and Figure 6 of He et al.\\ 2015)"
        );
        assert_eq!(caption("Pairs: CIFAR-10"), "Pairs: CIFAR-10");
        assert_eq!(label("tab", "a_b#1", "table-6"), "tab:a-b-1-table-6");
    }

    #[test]
    fn a_title_cannot_leave_its_comment() {
        let data = ("name.csv", "");
        let source = Source { title: "a\n\\input{x}\r%", data, packages: &[], body: "" };
        assert!(source.text().starts_with("% a \\input{x} %\n% Made by"), "{}", source.text());
    }
}
