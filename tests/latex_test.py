"""Compiles the report's tables and figures with TeX: in one paper, and alone. The pages are rendered to be looked at.

usage: latex_test.py REPORT OUT [FOLDER…]

FOLDERs of the report, by default all. Needs pdflatex with siunitx and pgfplots, pdftotext and pdftoppm
(Debian: texlive-latex-recommended texlive-science texlive-pictures poppler-utils).
"""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

# A line may be longer than the page is wide by so much, in points.
OVERFULL = 3.0

PREAMBLE = r"""\documentclass{article}
\usepackage[margin=20mm]{geometry}
\usepackage{booktabs}
\usepackage{siunitx}
\usepackage{array}
\usepackage{longtable}
\usepackage{pgfplots}
\usepgfplotslibrary{groupplots}
\pgfplotsset{compat=1.17}
\pagestyle{empty}
\begin{document}
"""


def compiled(source, where):
    """Compiles `source` in the folder `where`; returns the text of the PDF."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-file-line-error", source]
    # A table of several pages finds the widths of its columns in a second run.
    for _ in range(2):
        result = subprocess.run(command, cwd=where, capture_output=True, text=True, errors="replace")
        log = (where / source).with_suffix(".log").read_text(errors="replace").replace("\n", " ")
        if "idths have changed" not in log:
            break
    assert result.returncode == 0, f"{where / source}\n{result.stdout[-3000:]}"
    for wrong in ["Missing character", "multiply defined", "undefined references"]:
        assert wrong not in log, f"{where / source}: {wrong}"
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([0-9.]+)pt", log)]
    assert all(points < OVERFULL for points in too_wide), f"{where / source}: {too_wide} points too wide"
    pdf = (where / source).with_suffix(".pdf")
    return subprocess.run(["pdftotext", "-layout", pdf, "-"], check=True, capture_output=True, text=True).stdout


def letters(text):
    """The letters and digits of a text: signs, ligatures and lines are not the same in a PDF."""
    for ligature, plain in [("ﬁ", "fi"), ("ﬂ", "fl"), ("ﬀ", "ff"), ("ﬃ", "ffi"), ("ﬄ", "ffl")]:
        text = text.replace(ligature, plain)
    return re.sub(r"[^A-Za-z0-9]", "", text)


def networks(source):
    """The networks that the data of a table or figure names."""
    with source.with_suffix(".csv").open(newline="") as file:
        return {row["network"] for row in csv.DictReader(file) if row.get("network")}


def check(report, out, folder):
    sources = sorted((report / folder).glob("*.tex"))
    assert sources, f"{report / folder}: no .tex"
    where = out / folder
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(report / folder, where, ignore=shutil.ignore_patterns("*.svg", "*.png"))
    text = PREAMBLE + "".join(f"\\input{{{source.name}}}\n\\clearpage\n" for source in sources)
    (where / "paper.tex").write_text(text + "\\end{document}\n")
    shown = letters(compiled("paper.tex", where))
    for source in sources:
        # Words of a narrow column are in several lines, between those of other columns.
        wrapped = "raggedright" in source.read_text()
        missing = [name for name in networks(source) if not wrapped and letters(name) not in shown]
        assert not missing, f"{source}: {missing} cannot be read in the PDF"
    subprocess.run(["pdftoppm", "-r", "80", "-png", "paper.pdf", "page"], cwd=where, check=True)
    # One of each kind compiles without a paper around it.
    table = next((source for source in sources if source.with_suffix(".md").exists()), None)
    figure = next((source for source in sources if not source.with_suffix(".md").exists()), None)
    alone = [source.name for source in [table, figure] if source]
    for name in alone:
        compiled(name, where)
    pages = len(list(where.glob("page-*.png")))
    print(f"{folder}: {len(sources)} in a paper of {pages} pages; alone: {', '.join(alone)}")


def main():
    report, out = Path(sys.argv[1]), Path(sys.argv[2])
    folders = sys.argv[3:] or sorted({source.parent.name for source in report.glob("*/*.tex")})
    for folder in folders:
        check(report, out, folder)


main()
