#!/usr/bin/env python3
"""A report page works in a real browser, whatever it reports: what is expected is read from the page's own data.

    python tests/report_page_test.py REPORT.html SCREENSHOT_FOLDER

Needs selenium (PyPI), Chromium and its driver (Debian: chromium, chromium-driver; else name them in CHROMIUM and CHROMEDRIVER).
"""

import base64
import gzip
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

DATA_BLOCK = re.compile(r'(<script type="application/octet-stream" id="report-data">)(.*?)(</script>)', re.DOTALL)
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
# Values are shown with two decimals.
ROUNDING = 0.00501
NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"


class Skipped(Exception):
    """There is nothing in this report to check."""


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver") or "/usr/bin/chromedriver"
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def wait_for(condition, failure, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(failure() if callable(failure) else failure)


def packed(data):
    return base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()


def nearest(points, x):
    return min(points, key=lambda point: abs(point[0] - x))


def number(text):
    return float(text.replace(",", ""))


class PageTest:
    def __init__(self, report, screenshots):
        self.report, self.screenshots = report, screenshots
        self.html = report.read_text(encoding="utf-8")
        found = DATA_BLOCK.search(self.html)
        if not found:
            sys.exit(f"{report}: there is no report-data")
        self.charts = json.loads(gzip.decompress(base64.b64decode(found.group(2))))["charts"]
        self.browser = start_browser()

    # What a browser can be told.

    def emulate(self, command, **parameters):
        return self.browser.execute_cdp_cmd(f"Emulation.{command}", parameters)

    def script(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def open(self, page=None, width=1280, height=900, scheme="light", media="screen", phone=False):
        """Opens the page afresh: nothing that an earlier check did is left."""
        self.emulate("setScriptExecutionDisabled", value=False)
        self.emulate("setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
        metrics = PHONE if phone else {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.emulate("setDeviceMetricsOverride", **metrics)
        self.emulate("setTouchEmulationEnabled", enabled=phone)
        self.browser.get("about:blank")
        self.browser.get((page or self.report).resolve().as_uri())
        wait_for(lambda: self.script("return 'ready' in document.documentElement.dataset"), "the page's script does not end", 60)

    def screenshot(self, name):
        """The whole page."""
        picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": self.page_clip()})
        (self.screenshots / name).write_bytes(base64.b64decode(picture["data"]))

    def page_clip(self):
        # Chromium draws no picture higher than 16,384 pixels.
        size = self.browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        scale = self.script("return window.devicePixelRatio")
        return {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000 / scale), "scale": 1}

    def boxes(self, selector):
        """Sizes of what is laid out, without the page's own scripts: (width, height), or None for what is not shown."""
        document = self.browser.execute_cdp_cmd("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
        found = self.browser.execute_cdp_cmd("DOM.querySelectorAll", {"nodeId": document, "selector": selector})["nodeIds"]
        return [self.box(node) for node in found]

    def box(self, node):
        try:
            model = self.browser.execute_cdp_cmd("DOM.getBoxModel", {"nodeId": node})["model"]
        except Exception as error:
            if "box model" in str(error):
                return None
            raise
        return model["width"], model["height"]

    # Charts.

    def figure(self, name):
        return self.browser.find_element(By.CSS_SELECTOR, f'figure[data-chart="{name}"]')

    def first_chart(self):
        """Name and data of the first chart on the page whose first panel has points."""
        for figure in self.browser.find_elements(By.CSS_SELECTOR, "figure.chart"):
            name = figure.get_attribute("data-chart")
            chart = self.charts.get(name)
            if chart and chart["panels"] and any(series["points"] for series in chart["panels"][0]["series"]):
                return name, chart
        raise Skipped("no chart has points")

    def hover(self, name, part=0.5):
        """Points at a part of the width of the chart's first panel; returns the iteration that is there."""
        plot = self.figure(name).find_element(By.CSS_SELECTOR, ".plot")
        area = self.script("""
            const box = arguments[0].querySelector('.panel clipPath rect');
            const at = (name) => box[name].baseVal.value;
            const place = () => { const matrix = box.getScreenCTM(); return [matrix.e + at('x'), matrix.f + at('y'), at('width'), at('height')]; };
            scrollBy({top: place()[1] + at('height') / 2 - innerHeight / 2, behavior: 'instant'});
            return place();""", plot)
        x, y = area[0] + part * area[2], area[1] + area[3] / 2
        actions = ActionChains(self.browser, duration=20)
        actions.w3c_actions.pointer_action.move_to_location(1, 1)
        actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        actions.perform()
        low, high = self.charts[name]["panels"][0]["x"]
        return low + (round(x) - area[0]) / area[2] * (high - low), 1.5 / area[2] * (high - low)

    def tooltip(self):
        """(iteration, rows) of the tooltip that is shown, or None."""
        return self.script("""
            const box = document.querySelector('.tooltip');
            if (!box || box.hidden || getComputedStyle(box).display === 'none') return null;
            const text = (node, name) => node.querySelector(name).textContent;
            return {where: text(box, '.where'), rows: [...box.querySelectorAll('li')].map((row) => ({
                network: row.dataset.network, kind: row.dataset.kind,
                label: text(row, '.label'), value: text(row, '.value'), aside: text(row, '.aside')}))};""")

    def shown_tooltip(self):
        return wait_for(self.tooltip, "no tooltip is shown")

    def where(self, tooltip):
        found = re.search(rf"({NUMBER})$", tooltip["where"])
        assert found, f"the tooltip's heading has no number: {tooltip['where']!r}"
        return number(found.group(1))

    def guide(self, name):
        lines = self.figure(name).find_elements(By.CSS_SELECTOR, ".guide line")
        return float(lines[0].get_attribute("x1")) if len(lines) == 1 else None

    def check_values(self, tooltip, series_list):
        """Each series has a row with its value at the point nearest to the tooltip's iteration; the highest come first."""
        at = self.where(tooltip)
        labels = sorted(series["label"] for series in series_list)
        assert sorted(row["label"] for row in tooltip["rows"]) == labels, f"rows {tooltip['rows']}, expected {labels}"
        values = []
        for row in tooltip["rows"]:
            candidates = [series for series in series_list if series["label"] == row["label"]]
            _, mean, deviation = nearest(candidates[0]["points"], at)
            if mean is None:
                assert row["value"] == "–", f"{row['label']} has a gap at {at}, but {row['value']} is shown"
                continue
            values.append(mean)
            assert abs(number(row["value"]) - mean) < ROUNDING, f"{row['label']} at {at}: {row['value']} is shown, {mean} expected"
            shown = re.search(rf"± ({NUMBER})", row["aside"])
            assert bool(shown) == bool(deviation), f"{row['label']} at {at}: {row['aside']!r} is shown, deviation {deviation} expected"
            if deviation:
                assert abs(number(shown.group(1)) - deviation) < ROUNDING, f"{row['label']}: {row['aside']}, deviation {deviation} expected"
        assert values == sorted(values, reverse=True), f"not sorted by value: {values}"

    # The checks.

    def check_there_is_a_picture_with_a_description_in_each_figure(self):
        self.open()
        alternatives = self.script("return [...document.images].map((image) => [image.alt, image.naturalWidth, image.closest('figure')?.id])")
        for alternative, width, figure in alternatives:
            assert alternative.strip(), f"a picture of {figure} has no alt text"
            assert width > 0, f"a picture of {figure} cannot be decoded"
        without = self.script("return [...document.querySelectorAll('figure.chart')].filter((f) => !f.querySelector('img')).map((f) => f.id)")
        assert not without, f"figures without a picture: {without}"

    def check_the_page_is_well_formed(self):
        self.open()
        assert self.browser.title.strip(), "no title"
        assert "{{" not in re.sub(DATA_BLOCK, "", self.html), "a placeholder was not replaced"
        assert self.script("return document.documentElement.lang") == "en"
        twice = self.script("const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); return ids.filter((id, i) => ids.indexOf(id) !== i)")
        assert not twice, f"ids used twice: {twice}"
        dead = self.script(
            "return [...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href').slice(1)).filter((id) => !document.getElementById(id))")
        assert not dead, f"links to nowhere: {dead}"
        nameless = self.script("return [...document.querySelectorAll('button, a')].filter((e) => !e.textContent.trim()).length")
        assert nameless == 0, f"{nameless} buttons or links without a name"

    def check_each_chart_has_all_its_curves(self):
        self.open()
        if not self.charts:
            raise Skipped("the report has no charts")
        for name, chart in self.charts.items():
            figure = self.figure(name)
            assert not figure.find_element(By.CSS_SELECTOR, "img").is_displayed(), f"{name}: the picture is shown beside the chart"
            pictures = figure.find_elements(By.CSS_SELECTOR, ".plot svg")
            assert len(pictures) == 1, f"{name}: {len(pictures)} svg elements"
            assert (pictures[0].get_attribute("role"), pictures[0].get_attribute("aria-label")) == ("img", figure.find_element(By.TAG_NAME, "img").get_attribute("alt"))
            expected = [len(panel["series"]) for panel in chart["panels"]]
            found = self.script("return [...arguments[0].querySelectorAll('.panel')].map((panel) => panel.querySelectorAll('path.curve').length)", figure)
            assert found == expected, f"{name}: {found} curves in the panels, {expected} expected"
            broken = self.script("return [...arguments[0].querySelectorAll('path, line, circle, text')].filter((e) => /NaN|Infinity|undefined/.test(e.outerHTML)).length", figure)
            assert broken == 0, f"{name}: {broken} elements without a position"
            networks = list(dict.fromkeys(series["network"] for panel in chart["panels"] for series in panel["series"]))
            buttons = [button.get_attribute("data-network") for button in figure.find_elements(By.CSS_SELECTOR, "button[data-network]")]
            assert buttons == networks, f"{name}: buttons {buttons}, networks {networks}"

    def check_hovering_shows_the_values_at_the_nearest_iteration(self):
        self.open()
        name, chart = self.first_chart()
        wanted, tolerance = self.hover(name)
        tooltip = self.shown_tooltip()
        series_list = [series for series in chart["panels"][0]["series"] if series["points"]]
        points = [point for series in series_list for point in series["points"]]
        closest, found = abs(nearest(points, wanted)[0] - wanted), self.where(tooltip)
        assert any(abs(point[0] - found) < 0.01 for point in points), f"no curve has a point at {found}"
        assert abs(found - wanted) <= closest + tolerance, f"the tooltip is for {found}, the pointer at {wanted}"
        self.check_values(tooltip, series_list)
        if found >= 1000:
            assert f"{int(found):,}" in tooltip["where"], f"no thousands separators: {tooltip['where']}"
        assert self.guide(name) is not None, "no guide line"

    def check_the_tooltip_stays_within_the_window(self):
        for settings in [{}, {"width": 700, "height": 500}, {"phone": True}]:
            self.open(**settings)
            name, _ = self.first_chart()
            for part in [0.01, 0.5, 0.99]:
                self.hover(name, part)
                self.shown_tooltip()
                box = self.script(
                    "const box = document.querySelector('.tooltip').getBoundingClientRect();"
                    "return [box.left, box.top, innerWidth - box.right, innerHeight - box.bottom]")
                assert min(box) >= 0, f"{settings}, {part} of the panel: outside the window by {min(box)} pixels (left, top, right, bottom: {box})"

    def check_buttons_hide_and_show_networks(self):
        self.open()
        name, chart = self.first_chart()
        series_list = [series for series in chart["panels"][0]["series"] if series["points"]]
        network = series_list[0]["network"]
        self.check_button(name, "network", network, series_list)

    def check_buttons_hide_and_show_kinds_of_curves(self):
        self.open()
        name, chart = self.first_chart()
        series_list = [series for series in chart["panels"][0]["series"] if series["points"]]
        kinds = {series["kind"] for panel in chart["panels"] for series in panel["series"]}
        if len(kinds) < 2:
            assert not self.figure(name).find_elements(By.CSS_SELECTOR, "button[data-kind]"), "a button for the only kind of curve"
            raise Skipped("one kind of curve")
        self.check_button(name, "kind", series_list[0]["kind"], series_list)

    def check_button(self, chart_name, what, value, series_list):
        figure = self.figure(chart_name)
        button = figure.find_element(By.CSS_SELECTOR, f'button[data-{what}="{value}"]')
        others = [series for series in series_list if series[what] != value]

        def displayed():
            return self.script(
                "return [...arguments[0].querySelectorAll('path.curve')].filter((path) => path.closest('.series').dataset[arguments[1]] === arguments[2])"
                ".map((path) => { let node = path; while (node && getComputedStyle(node).display !== 'none') node = node.parentElement; return !node; })", figure, what, value)

        for pressed, expected in [("true", series_list), ("false", others), ("true", series_list)]:
            assert button.get_attribute("aria-pressed") == pressed, f"aria-pressed is not {pressed}"
            assert set(displayed()) == {pressed == "true"}, f"{value}: curves shown {displayed()}, button pressed {pressed}"
            self.hover(chart_name)
            if expected:
                self.check_values(self.shown_tooltip(), expected)
            else:
                assert self.tooltip() is None, "a tooltip without curves"
            self.script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
            button.click()

    def check_arrow_keys_move_the_guide(self):
        self.open()
        name, chart = self.first_chart()
        plot = self.figure(name).find_element(By.CSS_SELECTOR, ".plot")
        self.script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'}); arguments[0].focus()", plot)
        series_list = [series for series in chart["panels"][0]["series"] if series["points"]]
        xs = {point[0] for series in series_list for point in series["points"]}
        if len(xs) < 2:
            raise Skipped("one point")

        def press(*keys):
            ActionChains(self.browser).send_keys(*keys).perform()
            tooltip = self.shown_tooltip()
            self.check_values(tooltip, series_list)
            return self.where(tooltip), self.guide(name)

        first = press(Keys.HOME)
        assert abs(first[0] - nearest([(x,) for x in xs], chart["panels"][0]["x"][0])[0]) < 0.01, f"Home goes to {first[0]}"
        right = press(Keys.ARROW_RIGHT)
        assert right > first, f"the right key moves the guide from {first} to {right}"
        left = press(Keys.ARROW_LEFT)
        assert left == first, f"the left key moves the guide from {right} to {left}, not back to {first}"
        spoken = self.script("return document.querySelector('[aria-live]').textContent")
        assert series_list[0]["label"] in spoken, f"not announced: {spoken!r}"
        ActionChains(self.browser).send_keys(Keys.ESCAPE).perform()
        assert self.tooltip() is None, "Escape does not hide the tooltip"

    def check_on_a_phone_the_page_fits_and_panels_are_stacked(self):
        self.open(phone=True)
        wide = self.script(
            "return [document.documentElement.scrollWidth, innerWidth, [...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, .visually-hidden')"
            " && e.getBoundingClientRect().right > arguments[0] + 1).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))]", PHONE["width"])
        assert wide[0] <= wide[1] == PHONE["width"], f"the page is {wide[0]} pixels wide, the window {wide[1]}: {wide[2]}"
        for name in self.charts:
            tops = self.script(
                "return [...arguments[0].querySelectorAll('.panel-title')].map((title) => [title.getBoundingClientRect().left, title.getBoundingClientRect().top])", self.figure(name))
            assert all(below[1] > above[1] + 100 and below[0] == above[0] for above, below in zip(tops, tops[1:])), f"{name}: panels are not stacked: {tops}"
        self.screenshot("phone.png")

    def check_on_a_desktop_panels_are_side_by_side_and_follow_the_width(self):
        self.open()
        self.screenshot("light.png")
        for name, chart in self.charts.items():
            tops = self.script("return [...arguments[0].querySelectorAll('.panel-title')].map((title) => title.getBoundingClientRect().top)", self.figure(name))
            assert len(chart["panels"]) > 3 or len(set(tops)) <= 1, f"{name}: panels are not side by side: {tops}"
        if not self.charts:
            raise Skipped("the report has no charts")
        width = "return document.querySelector('.plot svg').viewBox.baseVal.width"
        before = self.script(width)
        self.emulate("setDeviceMetricsOverride", width=800, height=900, deviceScaleFactor=1, mobile=False)
        wait_for(lambda: self.script(width) < before - 100, lambda: f"not drawn again: {before} pixels wide, then {self.script(width)}")

    def check_the_dark_theme_is_dark_and_both_can_be_read(self):
        for scheme in ["light", "dark"]:
            self.open(scheme=scheme)
            colours = self.script("""
                const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
                const rgb = (text) => { canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
                const style = (name) => rgb(getComputedStyle(document.documentElement).getPropertyValue(name));
                const series = [...Array(8).keys()].map((index) => `--series-${index}`);
                const body = getComputedStyle(document.body);
                return {page: rgb(body.backgroundColor), ink: rgb(body.color), surface: style('--surface'), muted: style('--muted'), link: style('--link'), series: series.map(style)};""")
            darkness = luminance(colours["page"])
            assert (darkness < 0.05) if scheme == "dark" else (darkness > 0.8), f"{scheme}: background {colours['page']}"
            for ground in ["page", "surface"]:
                for text in ["ink", "muted", "link"]:
                    assert contrast(colours[text], colours[ground]) >= 4.5, f"{scheme}: {text} {colours[text]} on {ground} {colours[ground]}"
                for index, colour in enumerate(colours["series"]):
                    assert contrast(colour, colours[ground]) >= 3, f"{scheme}: series {index} {colour} on {ground} {colours[ground]}"
        self.screenshot("dark.png")

    def check_without_scripts_the_pictures_are_shown(self):
        self.open()
        self.emulate("setScriptExecutionDisabled", value=True)
        self.browser.get(self.report.resolve().as_uri())
        self.check_only_pictures("without scripts")
        self.emulate("setScriptExecutionDisabled", value=False)

    def check_with_broken_or_missing_data_the_pictures_stay(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "report.html"
            for what, block in {"broken": r"\1H4sIAAAA\3", "no base64": r"\1{\3", "missing": "", "other": rf"\g<1>{packed({'charts': {}})}\3"}.items():
                page.write_text(DATA_BLOCK.sub(block, self.html), encoding="utf-8")
                self.open(page)
                self.check_only_pictures(f"with {what} data")

    def check_only_pictures(self, situation):
        figures, pictures = self.boxes("figure.chart"), self.boxes("figure.chart > img")
        assert len(pictures) == len(figures), f"{situation}: {len(pictures)} pictures in {len(figures)} figures"
        for index, box in enumerate(pictures):
            assert box and box[0] > 200 and box[1] > 80, f"{situation}: picture {index} is not shown ({box})"
        assert not self.boxes(".plot"), f"{situation}: there are charts"

    def check_in_print_there_are_pictures_and_no_buttons(self):
        self.open(media="print")
        for index, box in enumerate(self.boxes("figure.chart > img")):
            assert box and box[0] > 200, f"picture {index} is not printed ({box})"
        assert not any(self.boxes(".switches, .plot, .tooltip")), "buttons or charts are printed"

    def check_no_errors_and_nothing_fetched(self):
        # The last check: the logs are of all pages opened before.
        errors = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not errors, f"console errors: {errors}"
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        urls = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        assert any(url.startswith("file:") for url in urls), "the log of requests is empty"
        fetched = [url[:100] for url in urls if not url.startswith(("file:", "data:", "about:"))]
        assert not fetched, f"fetched: {fetched}"
        files = {url.split("#")[0] for url in urls if url.startswith("file:")}
        assert all(url.endswith(".html") for url in files), f"other files were read: {files}"


def luminance(colour):
    linear = [part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    report, screenshots = Path(sys.argv[1]), Path(sys.argv[2])
    screenshots.mkdir(parents=True, exist_ok=True)
    test = PageTest(report, screenshots)
    passed, failed, skipped = 0, 0, 0
    try:
        for name in [name for name in vars(PageTest) if re.match("check_(?!(button|values|only_pictures)$)", name)]:
            what = name.removeprefix("check_").replace("_", " ")
            try:
                getattr(test, name)()
                passed += 1
                print(f"ok      {what}", flush=True)
            except Skipped as reason:
                skipped += 1
                print(f"skipped {what}: {reason}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED  {what}\n        {type(error).__name__}: {error}", flush=True)
    finally:
        test.browser.quit()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
