#!/usr/bin/env python3
"""The page that "sweep --report" keeps reloads itself in a real browser while the runs train.

    python tests/watching_page_test.py PROGRAM [SCREENSHOT_FOLDER]

Needs selenium (PyPI), Chromium and its driver, as report_page_test.py, beside which it lies.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report_page_test import start_browser
from selenium.webdriver.common.by import By

EXPERIMENT = """title = "Watched"
paper = "none: a test"
dataset = "shapes"

[[runs]]
networks = ["plain-8", "resnet-8"]
seeds = [0]
"""


def wait_for(what, condition, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"it never came to this: {what}")


def main():
    program = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "watched.toml").write_text(EXPERIMENT)
        page = folder / "sweep.html"
        command = [program, "sweep", "watched.toml", "--iterations", "400", "--set", "batch_size=32", "--set", "evaluate_every=100"]
        command += ["--no-weights", "--report", page.name, "--watch", "1"]
        sweep = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = start_browser()
        try:
            wait_for("a page", page.exists)
            browser.get(page.as_uri())

            def rows():
                # One script: nothing of it belongs to a page that is replaced meanwhile.
                return browser.execute_script(
                    "return [...document.querySelectorAll('#runs tbody tr')].map(row => [...row.children].map(cell => cell.textContent))"
                )

            def iteration(of):
                row = next((row for row in rows() if row[0] == of), None)
                return int(row[2].split(" ")[0].replace(",", "")) if row else 0

            first = wait_for("rows of the first run", lambda: iteration("watched/plain-8/seed-0"))
            later = wait_for("a later page, by itself", lambda: (now := iteration("watched/plain-8/seed-0")) > first and now)
            wait_for("a figure that is drawn", lambda: browser.find_elements(By.CSS_SELECTOR, "figure.chart svg, figure.chart img"))
            assert "runs done" in browser.title, browser.title
            if len(sys.argv) > 2:
                Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
                browser.save_screenshot(str(Path(sys.argv[2]) / "watching.png"))
            assert sweep.wait(600) == 0
            wait_for("the last page", lambda: [row[1] for row in rows()] == ["finished", "finished"])
            assert not browser.find_elements(By.CSS_SELECTOR, "meta[http-equiv=refresh]"), "it rests"
            severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
            assert not severe, severe
        finally:
            sweep.kill()
            browser.quit()
    print(f"the page reloads itself: iteration {first}, then {later}, then both runs finished")


if __name__ == "__main__":
    main()
