"use strict";

// Replaces the static picture of each figure by a chart that can be read with a pointer, a finger or the arrow keys.
// Where anything is missing or broken the picture stays.
(() => {
  const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
  const PANEL = { narrowest: 300, gap: 28, top: 54, right: 14, bottom: 44 };
  // A series with few points shows each as a dot.
  const FEW_POINTS = 25;
  // A value from farther away than this part of the axis is marked with where it comes from.
  const DISTANT = 0.01;
  // How many presses of an arrow key cross a panel.
  const KEY_STEPS = 100;

  function element(name, attributes = {}, ...children) {
    return filled(document.createElement(name), attributes, children);
  }

  function drawn(name, attributes = {}, ...children) {
    return filled(document.createElementNS(SVG_NAMESPACE, name), attributes, children);
  }

  function filled(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      // The page's security policy allows no style attributes, but what they say.
      if (name === "style") node.style.cssText = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  const distinct = (values) => [...new Set(values)];
  const colourOf = (series) => `--colour: var(--series-${series.colour % 8})`;
  const styleOf = (series) => (series.bold ? " bold" : "") + (series.dashed ? " dashed" : "");
  const grouped = (number) => number.toLocaleString("en-US", { maximumFractionDigits: 2 });
  // On a logarithmic axis two decimals would make small values zero.
  const valueText = (value, logarithmic) => (logarithmic && value !== 0 && Math.abs(value) < 0.1 ? value.toPrecision(2) : value.toFixed(2));

  function scale([low, high], [start, end], logarithmic) {
    const bend = logarithmic ? (value) => Math.log10(Math.max(value, low / 10)) : (value) => value;
    const span = bend(high) - bend(low) || 1;
    return (value) => start + ((bend(value) - bend(low)) / span) * (end - start);
  }

  // Multiples of 1, 2 or 5 times a power of ten, about `count` of them: [value, text] each.
  function linearTicks(low, high, count) {
    const rough = (high - low) / Math.max(count, 1) || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const ticks = [];
    for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
      const value = index * step || 0; // never -0
      ticks.push([value, value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals })]);
    }
    return ticks;
  }

  // Powers of ten; 2 and 5 times them as well where there are few.
  function logarithmicTicks(low, high) {
    const factors = Math.log10(high / low) > 2.5 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.log10(high); exponent += 1) {
      for (const factor of factors) {
        const value = Number(`${factor}e${exponent}`);
        if (value >= low * 0.999 && value <= high * 1.001) ticks.push([value, String(value)]);
      }
    }
    return ticks;
  }

  // The stretches of a series between its gaps.
  function stretches(points) {
    const found = [[]];
    for (const point of points) {
      if (point[1] === null) found.push([]);
      else found.at(-1).push(point);
    }
    return found.filter((stretch) => stretch.length > 0);
  }

  function nearest(points, x) {
    let best = null;
    for (const point of points) {
      if (best === null || Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
    }
    return best;
  }

  // One row a point. Text that a spreadsheet would take for a formula gets an apostrophe in front.
  function csvOf({ x_label, y_label, panels }) {
    const quoted = (text) => `"${text.replace(/^([=+\-@\t\r])/, "'$1").replaceAll('"', '""')}"`;
    const rows = panels.flatMap((panel) => panel.series.flatMap((series) => {
      const names = [panel.title, series.network, series.kind].map(quoted);
      return series.points.map((point) => [...names, ...point, series.seeds].join(","));
    }));
    const header = ["panel", "network", "series", x_label.replace(/ \(1e4\)$/, ""), y_label, "deviation", "seeds"].map(quoted);
    return [header.join(","), ...rows, ""].join("\n");
  }

  class Chart {
    constructor(figure, data, tooltip) {
      this.data = data;
      this.tooltip = tooltip;
      this.picture = figure.querySelector("img");
      this.hiddenNetworks = new Set();
      this.hiddenKinds = new Set();
      this.all = data.panels.flatMap((panel) => panel.series);
      const caption = figure.querySelector("figcaption strong")?.textContent.replace(/\.\s*$/, "") || "Chart";
      // An application, so that screen readers pass the arrow keys on.
      this.plot = element("div", { class: "plot", tabindex: 0, role: "application", "aria-label": `${caption}: left and right arrow keys read values` });
      this.frame = element("div", { class: "interactive" }, this.switches(), this.plot);
      const notes = distinct(this.all.filter((series) => series.note).map((series) => `${series.network}: ${series.note}`));
      if (notes.length > 0) this.frame.append(element("ul", { class: "notes" }, ...notes.map((note) => element("li", {}, note))));
      this.picture.after(this.frame);
      figure.querySelector("details > p")?.append(" · ", this.download(`${figure.dataset.name}.csv`));
      this.listen();
      this.draw();
      figure.classList.add("drawn");
      new ResizeObserver(() => this.plot.clientWidth !== this.width && this.draw()).observe(this.plot);
    }

    // A button that saves the points that are drawn.
    download(name) {
      const button = element("button", { type: "button", class: "download interactive" }, "Save what is drawn as CSV");
      button.addEventListener("click", () => {
        const address = URL.createObjectURL(new Blob([csvOf(this.data)], { type: "text/csv" }));
        element("a", { href: address, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 10000);
      });
      return button;
    }

    // Buttons: one a network, and one a kind of curve where there are several kinds.
    switches() {
      const networks = distinct(this.all.map((series) => series.network));
      const kinds = distinct(this.all.map((series) => series.kind));
      const group = (label, property, names, hidden, sample, text = (name) => name) => {
        const buttons = names.map((name) => {
          const button = element("button", { type: "button", "aria-pressed": "true", [`data-${property}`]: name }, sample(name), text(name));
          const emphasise = (on) => this.emphasise(property, on && !hidden.has(name) ? name : null);
          button.addEventListener("click", () => {
            if (!hidden.delete(name)) hidden.add(name);
            button.setAttribute("aria-pressed", String(!hidden.has(name)));
            this.emphasise(property, null);
            this.showAndHide();
          });
          button.addEventListener("pointerenter", (event) => emphasise(event.pointerType === "mouse"));
          button.addEventListener("pointerleave", () => emphasise(false));
          return button;
        });
        return element("div", { role: "group", "aria-label": label }, ...buttons);
      };
      const seriesOf = (property, name) => this.all.find((series) => series[property] === name);
      const dot = (name) => element("span", { class: "sample network", style: colourOf(seriesOf("network", name)) });
      const line = (name) => element("span", { class: `sample${styleOf(seriesOf("kind", name))}` });
      const counted = (name) => (seriesOf("network", name).seeds > 1 ? `${name} (n = ${seriesOf("network", name).seeds})` : name);
      const row = element("div", { class: "switches" }, group("Networks shown", "network", networks, this.hiddenNetworks, dot, counted));
      if (kinds.length > 1) row.append(group("Curves shown", "kind", kinds, this.hiddenKinds, line));
      return row;
    }

    // Pales all but one network's or kind's curves, while its button is pointed at.
    emphasise(property, name) {
      this.plot.classList.toggle("emphasis", name !== null);
      for (const group of this.plot.querySelectorAll(".series")) group.classList.toggle("emphasised", group.dataset[property] === name);
    }

    isShown(series) {
      return !this.hiddenNetworks.has(series.network) && !this.hiddenKinds.has(series.kind);
    }

    showAndHide() {
      this.leave();
      for (const group of this.plot.querySelectorAll(".series")) group.style.display = this.isShown(group.dataset) ? "" : "none";
    }

    draw() {
      this.leave();
      this.width = this.plot.clientWidth;
      if (this.width === 0) return;
      const count = this.data.panels.length;
      const columns = this.width >= count * PANEL.narrowest + (count - 1) * PANEL.gap ? count : 1;
      const width = (this.width - (columns - 1) * PANEL.gap) / columns;
      const height = Math.round(Math.min(440, Math.max(290, width * 0.72)));
      const rows = Math.ceil(count / columns);
      const total = rows * height + (rows - 1) * PANEL.gap;
      const svg = drawn("svg", { role: "img", "aria-label": this.picture.alt, viewBox: `0 0 ${this.width} ${total}`, height: total });
      this.panels = this.data.panels.map((panel, index) => {
        const corner = [(index % columns) * (width + PANEL.gap), Math.floor(index / columns) * (height + PANEL.gap)];
        return this.drawPanel(svg, panel, `${this.picture.parentElement.id}-clip-${index}`, corner, width, height);
      });
      this.plot.replaceChildren(svg);
      this.showAndHide();
    }

    drawPanel(svg, panel, clipName, [left, top], width, height) {
      const { x_label, y_label, x_scale, y_log } = this.data;
      // A logarithm needs a positive start.
      const y = y_log && panel.y[0] <= 0 ? [panel.y[1] / 1000, panel.y[1]] : panel.y;
      const bottomEdge = top + height - PANEL.bottom;
      const topEdge = top + PANEL.top;
      const yTicks = y_log ? logarithmicTicks(...y) : linearTicks(...y, (bottomEdge - topEdge) / 38);
      const leftEdge = left + 12 + 7.5 * Math.max(1, ...yTicks.map(([, text]) => text.length));
      const rightEdge = left + width - PANEL.right;
      const toX = scale(panel.x, [leftEdge, rightEdge]);
      const toY = scale(y, [bottomEdge, topEdge], y_log);
      const group = drawn("g", { class: "panel" });
      svg.append(group);

      const text = (content, x, y, anchor, name) => drawn("text", { x, y, "text-anchor": anchor, class: name }, content);
      group.append(text(panel.title, left, top + 16, "start", "panel-title"), text(y_label, left, top + 38, "start", "axis-label"));
      for (const [value, label] of yTicks) {
        group.append(drawn("line", { class: "gridline", x1: leftEdge, x2: rightEdge, y1: toY(value), y2: toY(value) }));
        group.append(text(label, leftEdge - 8, toY(value) + 4, "end", "tick"));
      }
      const xTicks = linearTicks(panel.x[0] / x_scale, panel.x[1] / x_scale, (rightEdge - leftEdge) / 70);
      for (const [value, label] of xTicks) {
        const x = toX(value * x_scale);
        group.append(drawn("line", { class: "axis", x1: x, x2: x, y1: bottomEdge, y2: bottomEdge + 5 }), text(label, x, bottomEdge + 19, "middle", "tick"));
      }
      group.append(drawn("line", { class: "axis", x1: leftEdge, x2: rightEdge, y1: bottomEdge, y2: bottomEdge }));
      group.append(text(x_label, (leftEdge + rightEdge) / 2, bottomEdge + 39, "middle", "axis-label"));

      const area = { x: leftEdge, y: topEdge, width: Math.max(0, rightEdge - leftEdge), height: bottomEdge - topEdge };
      group.append(drawn("clipPath", { id: clipName }, drawn("rect", area)));
      const curves = drawn("g", { "clip-path": `url(#${clipName})` });
      const guide = drawn("g", { class: "guide" });
      group.append(curves, guide);
      // Thin curves first, so that the bold ones lie on top.
      for (const series of panel.series.toSorted((one, other) => Number(one.bold) - Number(other.bold))) curves.append(drawSeries(series, toX, toY));
      return { ...panel, guide, toX, toY, leftEdge, rightEdge, topEdge, bottomEdge, left, right: left + width, top, bottom: top + height };
    }

    listen() {
      this.plot.addEventListener("pointermove", (event) => this.pointAt(event));
      this.plot.addEventListener("pointerdown", (event) => this.pointAt(event));
      // What a finger showed stays until the next touch elsewhere.
      this.plot.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.leave());
      document.addEventListener("pointerdown", (event) => this.plot.contains(event.target) || this.leave());
      this.plot.addEventListener("blur", () => this.leave());
      this.plot.addEventListener("keydown", (event) => this.press(event));
    }

    pointAt(event) {
      const box = this.plot.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const index = this.panels?.findIndex((panel) => x >= panel.left && x <= panel.right && y >= panel.top && y <= panel.bottom) ?? -1;
      if (index < 0) return this.leave();
      const panel = this.panels[index];
      this.guideTo(index, Math.min(1, Math.max(0, (x - panel.leftEdge) / (panel.rightEdge - panel.leftEdge))));
    }

    press(event) {
      const direction = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
      if (event.key === "Escape") this.leave();
      if (direction === undefined || !this.panels || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      // The guide goes on where it was, and from a panel's edge into the next panel.
      let { panel: index, part } = this.position ?? { panel: 0, part: direction > 0 ? -1 / KEY_STEPS : 1 + 1 / KEY_STEPS };
      const isAtEdge = (part) => (direction > 0 ? part >= 1 : part <= 0);
      if (Number.isFinite(direction) && this.position && isAtEdge(part) && this.panels[index + direction]) {
        [index, part] = [index + direction, direction > 0 ? 0 : 1];
      } else {
        const step = (direction * (event.shiftKey ? 10 : 1)) / KEY_STEPS;
        const before = this.position && this.closestX(this.panels[index], part);
        // Where points are far apart one step may not reach the next.
        do part = Math.min(1, Math.max(0, part + step));
        while (this.closestX(this.panels[index], part) === before && !isAtEdge(part));
      }
      this.guideTo(index, part);
      const values = this.readings.map(({ series, text }) => `${series.label} ${text}`).join("; ");
      this.tooltip.announce(values ? `${this.panels[index].title}, ${this.where}: ${values}` : "No curves are shown.");
    }

    curvesShown(panel) {
      return panel.series.filter((series) => this.isShown(series) && series.points.length > 0);
    }

    // Where the curves shown have the point nearest to a part of the panel's width; undefined if there is none.
    closestX(panel, part) {
      const x = panel.x[0] + part * (panel.x[1] - panel.x[0]);
      return nearest(this.curvesShown(panel).map((series) => nearest(series.points, x)), x)?.[0];
    }

    // Puts the guide at the point nearest to a part of the panel's width and lists the curves' values there, the highest first.
    guideTo(index, part) {
      this.leave();
      const panel = this.panels[index];
      this.position = { panel: index, part };
      this.readings = [];
      const at = this.closestX(panel, part);
      if (at === undefined) return;
      this.where = `${this.data.x_label.replace(/\s*\(.*\)$/, "")} ${grouped(at)}`;
      this.readings = this.curvesShown(panel).map((series) => {
        const [pointX, mean, deviation] = nearest(series.points, at);
        const distant = Math.abs(pointX - at) > DISTANT * Math.abs(panel.x[1] - panel.x[0]);
        const value = mean === null ? "–" : valueText(mean, this.data.y_log);
        const band = mean !== null && deviation ? `± ${valueText(deviation, this.data.y_log)}` : "";
        const aside = [band, distant ? `at ${grouped(pointX)}` : ""].filter(Boolean).join(" ");
        return { series, pointX, mean, value, aside, distant, text: `${value} ${aside}`.trim() };
      });
      this.readings.sort((one, other) => (other.mean ?? -Infinity) - (one.mean ?? -Infinity));

      const lineX = panel.toX(at);
      panel.guide.append(drawn("line", { x1: lineX, x2: lineX, y1: panel.topEdge, y2: panel.bottomEdge }));
      for (const { series, pointX, mean, distant } of this.readings) {
        const y = mean === null ? NaN : panel.toY(mean);
        if (distant || !(y >= panel.topEdge - 1 && y <= panel.bottomEdge + 1)) continue;
        panel.guide.append(drawn("circle", { cx: panel.toX(pointX), cy: y, r: 4, style: colourOf(series) }));
      }
      const box = this.plot.getBoundingClientRect();
      const edges = { x: box.left + lineX, top: box.top + panel.topEdge, bottom: box.top + panel.bottomEdge };
      this.tooltip.show(panel.title, this.where, this.readings, edges);
    }

    leave() {
      this.tooltip.hide();
      for (const panel of this.panels ?? []) panel.guide.replaceChildren();
    }
  }

  function drawSeries(series, toX, toY) {
    const place = (x, y) => `${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`;
    const pieces = stretches(series.points);
    const group = drawn("g", { class: `series${styleOf(series)}`, "data-network": series.network, "data-kind": series.kind, style: colourOf(series) });
    for (const piece of pieces.filter((points) => points.some((point) => point[2]))) {
      const upper = piece.map(([x, mean, deviation]) => place(x, mean + (deviation || 0)));
      const lower = piece.map(([x, mean, deviation]) => place(x, mean - (deviation || 0))).reverse();
      group.append(drawn("path", { class: "band", d: `M${[...upper, ...lower].join("L")}Z` }));
    }
    group.append(drawn("path", { class: "curve", d: pieces.map((piece) => `M${piece.map(([x, mean]) => place(x, mean)).join("L")}`).join("") }));
    // Few points, and points alone between gaps, are dots: lines without length that have round ends.
    const dots = series.points.length <= FEW_POINTS ? pieces.flat() : pieces.filter((piece) => piece.length === 1).flat();
    if (dots.length > 0) group.append(drawn("path", { class: "marks", d: dots.map(([x, mean]) => `M${place(x, mean)}h0`).join("") }));
    const last = pieces.at(-1)?.at(-1);
    if (series.note && last) group.append(drawn("circle", { class: "unfinished", cx: toX(last[0]), cy: toY(last[1]), r: 4 }));
    return group;
  }

  // One for the page: a box for the eye, and a line for screen readers.
  class Tooltip {
    constructor() {
      this.box = element("div", { class: "tooltip interactive", "aria-hidden": "true", hidden: "" });
      this.spoken = element("div", { class: "visually-hidden", "aria-live": "polite" });
      document.body.append(this.box, this.spoken);
    }

    show(title, where, readings, edges) {
      const rows = readings.map(({ series, value, aside, distant }) => {
        const attributes = { class: distant ? "distant" : "near", "data-network": series.network, "data-kind": series.kind };
        const sample = element("span", { class: `sample${styleOf(series)}`, style: colourOf(series) });
        const cells = { label: series.label, value, aside };
        return element("li", attributes, sample, ...Object.entries(cells).map(([name, text]) => element("span", { class: name }, text)));
      });
      const heading = element("p", {}, element("strong", { class: "where" }, where), element("span", {}, title));
      this.box.replaceChildren(heading, element("ul", {}, ...rows));
      this.box.hidden = false;
      this.place(edges);
    }

    // Beside the guide; below or above the panel where the screen is too narrow for that. Always within the window.
    place({ x, top, bottom }) {
      const { width, height } = this.box.getBoundingClientRect();
      const [windowWidth, windowHeight] = [document.documentElement.clientWidth, window.innerHeight];
      const margin = 8;
      const beside = [x + 16, x - 16 - width].find((left) => left >= margin && left + width <= windowWidth - margin);
      const below = bottom + height + margin <= windowHeight || top - height < margin;
      const left = beside ?? x - width / 2;
      const wanted = beside !== undefined ? top : below ? bottom + margin : top - height - margin;
      const within = (value, size, room) => Math.max(margin, Math.min(value, room - size - margin));
      this.box.style.left = `${within(left, width, windowWidth) + window.scrollX}px`;
      this.box.style.top = `${within(wanted, height, windowHeight) + window.scrollY}px`;
    }

    hide() {
      this.box.hidden = true;
    }

    announce(sentence) {
      this.spoken.textContent = sentence;
    }
  }

  // Tables wider than the page can be scrolled with the keyboard too.
  for (const scroller of document.querySelectorAll(".scroll")) {
    const name = scroller.querySelector("caption")?.textContent || "Table";
    filled(scroller, { tabindex: 0, role: "region", "aria-label": name }, []);
  }

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async function drawAll() {
    const { charts } = await unpacked(document.getElementById("report-data").textContent);
    const tooltip = new Tooltip();
    for (const figure of document.querySelectorAll("figure.chart")) {
      const data = charts[figure.dataset.chart];
      if (!data) continue;
      try {
        new Chart(figure, data, tooltip);
      } catch (error) {
        for (const made of figure.querySelectorAll(".interactive")) made.remove();
        console.warn(`${figure.dataset.chart} stays a picture.`, error);
      }
    }
  }

  drawAll()
    .catch((error) => console.warn("The report's data cannot be read; its figures stay pictures.", error))
    .finally(() => (document.documentElement.dataset.ready = ""));
})();
