"use strict";

const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const DASHES = ["solid", "dash", "dot", "dashdot"];
const VIRIDIS = [
  [0, "#440154"], [0.25, "#3b528b"], [0.5, "#21918c"], [0.75, "#5ec962"], [1, "#fde725"],
];
const ROUND = [
  [0, "#0072B2"], [0.2, "#56B4E9"], [0.4, "#009E73"], [0.6, "#E69F00"], [0.8, "#D55E00"],
  [0.92, "#CC79A7"], [1, "#0072B2"],
];
const kept = load(); // what was chosen before the page was reloaded
const charts = new Map(); // element -> {draw, stale, seen}

// ---- small helpers

const number = (x) => x.toLocaleString("en-US", { maximumFractionDigits: 0 });
function short(x) {
  if (x === null) return "none";
  if (Math.abs(x) >= 1000) return number(x);
  return x && Math.abs(x) < 0.001 ? x.toExponential(1) : String(+x.toPrecision(3));
}
const percent = (share) => (share === null ? "unknown" : `${+(share / 100).toFixed(2)} %`);
const words = (entry) => entry.replaceAll("_", " ");
const fraction = (shares) => shares.map((x) => (x === null ? null : x / 10000));
const last = (list) => list[list.length - 1];

function plain(text) { // plotly takes texts for a kind of HTML
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function theme() {
  const style = getComputedStyle(root);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ink: read("ink"), muted: read("muted"), rule: read("rule"), paper: read("paper"), cell: read("cell") };
}

function isDark() {
  return dark.matches && !("print" in root.dataset);
}

function clear(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(location.pathname) || "{}");
  } catch {
    return {};
  }
}

function keep() {
  try {
    sessionStorage.setItem(location.pathname, JSON.stringify(kept));
  } catch { /* a browser may forbid it */ }
}

// ---- colours: Okabe and Ito's, those shown at first before the others

function colour(arm) { // or whatever has a place among others
  const own = document.data.colours[arm.place % document.data.colours.length];
  if (own === "#000000") return isDark() ? "#F2F2EE" : "#000000";
  if (own === "#F0E442" && !isDark()) return "#8A7B00"; // yellow is faint on white
  if (own === "#0072B2" && isDark()) return "#2F8FD3";
  return own;
}

function dash(arm) {
  return DASHES[Math.floor(arm.place / document.data.colours.length) % DASHES.length];
}

function key(arm) { // a piece of its line
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "key");
  svg.setAttribute("viewBox", "0 0 22 10");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const pattern = { solid: "", dash: "6 4", dot: "2 3", dashdot: "6 3 2 3" }[dash(arm)];
  const attributes = { x1: 1, x2: 21, y1: 5, y2: 5, "stroke-width": 4, stroke: colour(arm), "stroke-dasharray": pattern };
  for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

// ---- charts are drawn when they come into view, and again when something has changed

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const chart = charts.get(entry.target);
    if (!chart) continue;
    chart.seen = entry.isIntersecting;
    if (chart.seen && chart.stale) paint(entry.target);
  }
}, { rootMargin: "300px" });

function chart(element, height, draw) {
  charts.set(element, { draw, height, stale: true, seen: false });
  reserve(element, height());
  watcher.observe(element);
}

function reserve(element, height) { // nothing jumps when a chart is drawn
  element.style.height = height === null ? "auto" : `${height}px`;
}

function paint(element) {
  const { draw, height } = charts.get(element);
  reserve(element, height());
  draw(element);
  charts.get(element).stale = false;
}

function refresh(all = false) {
  for (const [element, each] of charts) {
    if (!element.isConnected) {
      watcher.unobserve(element);
      charts.delete(element);
      continue;
    }
    each.stale = true;
    reserve(element, each.height());
    if (each.seen || all) paint(element);
  }
}

function plot(element, traces, layout, isSmall = false) { // a small one has no tools to tab through
  const { ink, muted, rule } = theme();
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: ink };
  const axis = { gridcolor: rule, zeroline: false, linecolor: rule, tickcolor: rule, fixedrange: false };
  const coarse = matchMedia("(pointer: coarse)").matches;
  const whole = {
    width: element.clientWidth, height: element.clientHeight, font,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 58, r: 14, t: 10, b: 50 }, showlegend: false, separators: ".,",
    hovermode: "closest", hoverdistance: 24,
    dragmode: coarse ? false : "zoom", // on a phone dragging scrolls the page
    modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
    hoverlabel: { align: "left", font: { family: font.family, size: 12.5 } },
    ...layout,
    xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
  };
  const config = {
    displaylogo: false, doubleClick: "reset", displayModeBar: coarse || isSmall ? false : "hover",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  Plotly.react(element, traces, whole, config);
}

function small() {
  return { family: getComputedStyle(document.body).fontFamily, size: 11.5, color: theme().ink };
}

function stepAxis(steps, width, title = "training step", label = 0) { // label: pixels of one
  let low = Infinity;
  let high = 0;
  for (const step of steps) {
    if (step > 0 && step < low) low = step;
    if (step > high) high = step;
  }
  if (!(low < high)) [low, high] = [Math.max(high, 1) / 2, Math.max(high, 1) * 2];
  const axis = { title: { text: title, standoff: 8 }, tickangle: 0, automargin: false };
  if (kept.linear || high <= 3 * low) {
    const room = 0.02 * (high - (kept.linear ? 0 : low));
    const start = kept.linear ? 0 : low;
    return { ...axis, low: start, range: [start - room, high + room], tickformat: ",d", nticks: Math.max(3, Math.floor(width / 95)) };
  }
  const room = (high / low) ** 0.02;
  const decades = Math.log10(high / low);
  label ||= 7.2 * number(high).length + 10;
  const hasRoom = (gap) => gap * (width - 80) / decades > label; // between 5 and 10, or 1 and 3
  const digits = hasRoom(0.3) ? [1, 2, 5] : hasRoom(0.47) && decades < 2.5 ? [1, 3] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high) + 1; power += 1) {
    for (const digit of digits) {
      const tick = digit * 10 ** power;
      if (tick >= low / room && tick <= high * room) ticks.push(tick);
    }
  }
  return {
    ...axis, type: "log", low: low / room, range: [Math.log10(low / room), Math.log10(high * room)],
    tickvals: ticks, ticktext: ticks.map(number),
  };
}

function shareAxis(title) {
  return { title: { text: title, standoff: 6 }, tickformat: ".0%", range: [-0.03, 1.04], tickvals: [0, 0.2, 0.4, 0.6, 0.8, 1] };
}

const middle = (arm, side) => fraction(arm[`${side}_median`] ?? arm[side][0]); // of one run: it

const visible = (part) => part.arms.filter((arm) => arm.on);

// ---- the charts

function survival(part, element) {
  const arms = visible(part);
  const axis = stepAxis(part.arms.flatMap((arm) => arm.step), element.clientWidth);
  const traces = [];
  for (const arm of arms) {
    const { step, share, low, high } = arm.incidence;
    const x = step.map((s) => Math.max(s, axis.low));
    const common = { x, mode: "lines", hoverinfo: "skip", line: { width: 0, shape: "hv", color: colour(arm) } };
    traces.push({ ...common, y: fraction(low) });
    traces.push({ ...common, y: fraction(high), fill: "tonexty", fillcolor: clear(colour(arm), 0.13) });
  }
  for (const arm of arms) {
    const { step, share } = arm.incidence;
    const at = (s) => share[step.findLastIndex((known) => known <= s)];
    traces.push({
      x: step.map((s) => Math.max(s, axis.low)), y: fraction(share), mode: "lines", name: arm.name,
      line: { width: 2.2, shape: "hv", color: colour(arm), dash: dash(arm) },
      text: step.map((s, i) => `${plain(arm.name)}<br>${percent(share[i])} grokked by step ${number(s)}`),
      hovertemplate: "%{text}<extra></extra>",
    });
    if (arm.censored.length) {
      traces.push({
        x: arm.censored, y: fraction(arm.censored.map(at)), mode: "markers",
        marker: { symbol: "line-ns-open", size: 11, color: colour(arm), line: { width: 2, color: colour(arm) } },
        text: arm.censored.map((s) => `${plain(arm.name)}<br>seen up to step ${number(s)} without grokking`),
        hovertemplate: "%{text}<extra></extra>",
      });
    }
  }
  plot(element, traces, { xaxis: axis, yaxis: shareAxis("runs that have grokked") });
}

function dots(part, element) {
  const arms = visible(part);
  const axis = stepAxis(part.arms.flatMap((arm) => [...arm.step, ...arm.grok]), element.clientWidth);
  const traces = [];
  const annotations = [];
  const shapes = [];
  const { ink, rule } = theme();
  arms.forEach((arm, row) => {
    annotations.push({
      x: 0, xref: "paper", xanchor: "left", y: row + 0.17, showarrow: false, font: { size: 12.5, color: ink },
      text: `${plain(arm.name)} · ${arm.grokked} of ${arm.runs}`, align: "left",
    });
    shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: row, y1: row, line: { color: rule, width: 1 } });
    const [median, low, high] = arm.median;
    const end = last(arm.step);
    if (low !== null || high !== null) {
      const from = low ?? median;
      const to = high ?? (low === null ? median : end);
      const open = [low === null ? "arrow-left" : "line-ew", high === null ? "arrow-right" : "line-ew"]; // no bound there
      traces.push({
        x: [from, to], y: [row + 0.88, row + 0.88], mode: "lines+markers", hoverinfo: "skip",
        line: { color: colour(arm), width: 2.2 }, marker: { symbol: open, size: 11, color: colour(arm), opacity: 1 }, cliponaxis: false,
      });
    }
    const height = (r) => row + 0.58 + 0.26 * (((0.5 + 0.618034 * r) % 1) - 0.5);
    for (const observed of [1, 0]) {
      const runs = arm.grok.map((_, r) => r).filter((r) => arm.observed[r] === observed);
      if (!runs.length) continue;
      traces.push({
        x: runs.map((r) => arm.grok[r]), y: runs.map(height), mode: "markers", name: arm.name,
        marker: {
          color: colour(arm), size: observed ? 7 : 9, symbol: observed ? "circle" : "triangle-right-open",
          opacity: Math.min(0.8, Math.max(0.25, 6 / Math.sqrt(arm.runs))), line: { width: observed ? 0 : 1.6, color: colour(arm) },
        },
        text: runs.map((r) => `${plain(arm.name)}<br>${plain(arm.labels[r] || "")}<br>${observed ? "grokked at" : "not grokked by"} step ${number(arm.grok[r])}`),
        hovertemplate: "%{text}<extra></extra>",
      });
    }
    if (median !== null) {
      const bounds = [low, high].map((x) => (x === null ? "none" : number(x))).join(" to ");
      traces.push({
        x: [median], y: [row + 0.88], mode: "markers",
        marker: { symbol: "diamond", size: 10, color: colour(arm), line: { width: 1, color: theme().paper } },
        text: [`${plain(arm.name)}<br>median: step ${number(median)}<br>95 % interval: ${bounds}`],
        hovertemplate: "%{text}<extra></extra>",
      });
    }
  });
  const yaxis = { range: [Math.max(arms.length, 1) + 0.08, -0.02], showticklabels: false, ticks: "", showgrid: false, fixedrange: true };
  plot(element, traces, { xaxis: axis, yaxis, annotations, shapes, margin: { l: 14, r: 14, t: 10, b: 50 } });
}

function curves(part, element) {
  const side = part.side || "val";
  const axis = stepAxis(part.arms.flatMap((arm) => arm.step), element.clientWidth);
  const arms = visible(part);
  const total = arms.reduce((sum, arm) => sum + arm.grok.length, 0);
  const alpha = Math.min(0.5, Math.max(0.06, 4 / Math.sqrt(total)));
  const thin = [];
  const thick = [];
  for (const arm of arms) {
    const x = [];
    const y = [];
    const text = [];
    arm[side].forEach((shares, r) => {
      const about = `${plain(arm.name)}<br>${plain(arm.labels[r] || "")}`;
      shares.forEach((share, e) => {
        x.push(arm.step[e]);
        y.push(share === null ? null : share / 10000);
        text.push(about);
      });
      x.push(null);
      y.push(null);
      text.push("");
    });
    const line = { color: colour(arm), dash: dash(arm) };
    if (arm.grok.length > 1) {
      thin.push({ x, y, text, mode: "lines", opacity: alpha, line: { ...line, width: 1 }, name: arm.name, hovertemplate: "%{text}<br>step %{x:,}: %{y:.2%}<extra></extra>" });
    }
    const name = arm.grok.length > 1 ? "median of the runs" : plain(arm.labels[0] || "");
    thick.push({
      x: arm.step, y: middle(arm, side), mode: arm.step.length > 1 ? "lines" : "markers", line: { ...line, width: 2.4 }, name: arm.name,
      text: `${plain(arm.name)}<br>${name}`, hovertemplate: "%{text}<br>step %{x:,}: %{y:.2%}<extra></extra>",
    });
  }
  const { muted } = theme();
  const shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: part.threshold, y1: part.threshold, line: { color: muted, width: 1, dash: "dot" } }];
  const title = side === "val" ? "validation accuracy" : "training accuracy";
  plot(element, [...thin, ...thick], { xaxis: axis, yaxis: shareAxis(title), shapes });
}

function phase(part, element) {
  const families = Object.keys(part.grids);
  const state = (part.phase ??= { family: families[0] });
  const members = part.grids[state.family];
  const entries = Object.keys(members.varying);
  state.x ??= entries[0];
  state.y ??= entries[1];
  const others = entries.filter((entry) => entry !== state.x && entry !== state.y);
  const at = (state.at ??= {});
  for (const entry of others) at[entry] ??= members.varying[entry][0];
  const shown = members.arms.filter((arm) => others.every((entry) => arm.values[entry] === at[entry]));
  const [columns, rows] = [members.varying[state.x], members.varying[state.y]];
  const cell = (x, y) => shown.find((arm) => arm.values[state.x] === x && arm.values[state.y] === y);
  const boxes = pairOf(element, ["Median steps to grok", "Final validation accuracy"]);
  const known = members.arms.map((arm) => arm.median[0]).filter((m) => m !== null);
  const limits = known.length ? [Math.min(...known), Math.max(...known)].map(Math.log10) : [0, 1];
  const steps = { z: (arm) => (arm.median[0] === null ? null : Math.log10(arm.median[0])), text: (arm) => number(arm.median[0]), else: (arm) => `${arm.grokked} of ${arm.runs}`, limits, reversescale: true };
  const accuracy = { z: (arm) => (arm.final === null ? null : arm.final / 10000), text: (arm) => `${+(arm.final / 100).toFixed(1)}%`, else: () => "unknown", limits: [0, 1], reversescale: false };
  [steps, accuracy].forEach((what, i) => {
    const box = boxes[i];
    box.style.height = `${rows.length * cellHeight(rows.length) + 66}px`;
    cells(box, columns, rows, cell, what, state);
  });
}

const cellHeight = (rows) => Math.max(16, Math.min(44, 640 / rows));

function entryValue(value) {
  return Math.abs(value) >= 1e-4 || !value ? String(+value.toPrecision(4)) : value.toExponential();
}

function cells(box, columns, rows, cell, what, state) {
  const width = (box.clientWidth - 84) / columns.length;
  const size = width > 50 ? 12 : width > 38 ? 10 : 8;
  const grid = (value) => rows.map((y) => columns.map((x) => { const arm = cell(x, y); return arm ? value(arm) : null; }));
  const about = (arm) => `${plain(arm.name)}<br>${arm.grokked} of ${arm.runs} grokked; median step ${arm.median[0] === null ? "not reached" : number(arm.median[0])}<br>validation accuracy at the end: ${percent(arm.final)}`;
  const common = {
    type: "heatmap", xgap: 2, ygap: 2, showscale: false, hovertemplate: "%{customdata}<extra></extra>",
    texttemplate: width > 26 && rows.length <= 40 ? "%{text}" : "", textfont: { size },
  };
  const { cell: grey, ink } = theme();
  const known = (arm) => what.z(arm) !== null;
  const traces = [
    { ...common, z: grid(what.z), text: grid((arm) => (known(arm) ? what.text(arm) : "")), customdata: grid(about), colorscale: VIRIDIS, reversescale: what.reversescale, zmin: what.limits[0], zmax: what.limits[1] === what.limits[0] ? what.limits[0] + 1 : what.limits[1] },
    { ...common, z: grid((arm) => (known(arm) ? null : 0)), text: grid((arm) => (known(arm) ? "" : what.else(arm))), customdata: grid(about), colorscale: [[0, grey], [1, grey]], textfont: { size, color: ink } },
  ];
  const axis = (entry, values, gap, least) => {
    const every = Math.ceil(least / gap);
    const places = values.map((_, i) => i).filter((i) => i % every === 0);
    return { title: { text: plain(words(entry)), standoff: 8 }, tickvals: places, ticktext: places.map((i) => entryValue(values[i])), tickangle: 0, showgrid: false, fixedrange: true, ticks: "" };
  };
  const longest = Math.max(...columns.map((v) => entryValue(v).length));
  plot(box, traces, { xaxis: axis(state.x, columns, width, 7.2 * longest + 6), yaxis: axis(state.y, rows, cellHeight(rows.length), 17), margin: { l: 70, r: 14, t: 6, b: 56 } }, true);
}

function pairOf(element, titles) { // two charts, side by side or one below the other
  if (!element.firstChild) {
    const boxes = titles.map((text) => make("div", {}, make("h4", { textContent: text }), make("div")));
    element.append(make("div", { className: "pair" }, ...boxes));
  }
  return [...element.firstChild.children].map((box) => box.lastChild);
}

function entry(part, element) {
  reserve(element, null);
  const lines = part.lines.map(({ family, arms, name }, place) => ({ place, family, name, arms }));
  const values = [...new Set(lines.flatMap(({ arms, name }) => arms.map((arm) => arm.values[name])))].sort((a, b) => a - b);
  const far = values[0] > 0 && last(values) > 20 * values[0];
  const [steps, accuracy] = pairOf(element, ["Median steps to grok", "Final validation accuracy"]);
  const read = element.lastChild.className === "read" ? element.lastChild : element.appendChild(make("p", { className: "read" }));
  read.replaceChildren(...(lines.length > 1 ? lines.map((line) => make("span", {}, key(line), line.family)) : []));
  const names = [...new Set(lines.map(({ name }) => name))];
  for (const [box, isSteps] of [[steps, true], [accuracy, false]]) {
    box.style.height = "320px";
    const traces = [];
    for (const line of lines) {
      const x = line.arms.map((arm) => arm.values[line.name]);
      const look = { color: colour(line), dash: dash(line), width: 2.2 };
      const about = line.arms.map((arm) => `${plain(arm.name)}<br>${arm.grokked} of ${arm.runs} grokked; median step ${arm.median[0] === null ? "not reached" : number(arm.median[0])}<br>validation accuracy at the end: ${percent(arm.final)}`);
      const common = { x, text: about, hovertemplate: "%{text}<extra></extra>", line: look };
      if (!isSteps) {
        traces.push({ ...common, y: line.arms.map((arm) => (arm.final === null ? null : arm.final / 10000)), mode: "lines+markers", marker: { size: 8, color: look.color } });
        continue;
      }
      const end = (arm, bound) => (arm.median[0] === null || arm.median[bound] === null ? 0 : Math.abs(arm.median[bound] - arm.median[0]));
      traces.push({
        ...common, y: line.arms.map((arm) => arm.median[0]), mode: "lines+markers", marker: { size: 8, color: look.color },
        error_y: { type: "data", symmetric: false, array: line.arms.map((arm) => end(arm, 2)), arrayminus: line.arms.map((arm) => end(arm, 1)), thickness: 1.4, width: 3, color: look.color },
      });
      traces.push({
        ...common, y: line.arms.map((arm) => (arm.median[0] === null ? last(arm.step) : null)), mode: "markers", cliponaxis: false,
        marker: { symbol: "triangle-up-open", size: 10, color: look.color, line: { width: 1.6, color: look.color } },
      });
    }
    const all = traces.flatMap((trace) => trace.y).filter((y) => y > 0);
    const range = [Math.min(...all), Math.max(...all)];
    const axis = stepAxis(range, box.clientHeight, "training step", 20);
    const shown = values.length <= 12 && values.map(entryValue).join("").length * 9 < box.clientWidth - 80;
    const xaxis = { title: { text: plain(names.map(words).join(", ")), standoff: 8 }, type: far ? "log" : "linear", tickangle: 0, ...(shown ? { tickvals: values, ticktext: values.map(entryValue) } : { nticks: 6 }) };
    plot(box, traces, { xaxis, yaxis: isSteps ? axis : shareAxis("validation accuracy"), margin: { l: 72, r: 14, t: 8, b: 50 } });
  }
}

function panelCurves(panel, part, arms, element) {
  const axis = stepAxis(arms.flatMap((arm) => arm.step), element.clientWidth, "");
  const traces = [];
  for (const arm of arms.filter((each) => each.on)) {
    const own = panel.arms[arm.name];
    if (!own) continue;
    if (own.low) {
      const common = { x: own.step, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
      traces.push({ ...common, y: own.low }, { ...common, y: own.high, fill: "tonexty", fillcolor: clear(colour(arm), 0.16) });
    }
    traces.push({
      x: own.step, y: own.median, mode: own.step.length > 1 ? "lines" : "markers", name: arm.name,
      text: own.median.map((y, e) => `${plain(arm.name)}<br>step ${number(own.step[e])}: ${panel.share ? percent(y * 10000) : short(y)}`),
      hovertemplate: "%{text}<extra></extra>", line: { color: colour(arm), dash: dash(arm), width: 2 },
    });
  }
  const values = Object.values(panel.arms).flatMap((own) => own.median).filter((y) => y > 0);
  const far = panel.log && values.length && last([...values].sort((a, b) => a - b)) > 10 * Math.min(...values);
  const yaxis = panel.share ? { ...shareAxis(""), tickvals: [0, 0.5, 1] } : { nticks: 5, type: far ? "log" : "linear", exponentformat: "power", ...(far ? { dtick: Math.max(1, Math.ceil(Math.log10(Math.max(...values) / Math.min(...values)) / 5)) } : {}) };
  plot(element, traces, { xaxis: axis, yaxis, margin: { l: 54, r: 10, t: 6, b: 38 }, height: 200, font: small() }, true);
}

function panelSpectrum(panel, step, element) {
  const { spectrum } = panel;
  const e = Math.max(0, spectrum.step.findLastIndex((s) => s <= step));
  const top = Math.max(...spectrum.values.flat().filter((v) => v !== null), 1e-12);
  const bars = { type: "bar", x: spectrum.values[e].map((_, k) => k + 1), y: spectrum.values[e], marker: { color: isDark() ? "#56B4E9" : "#0072B2" }, hovertemplate: `${plain(spectrum.entry)} %{x}: %{y:.3g}<extra></extra>` };
  plot(element, [bars], { xaxis: { title: { text: plain(spectrum.entry), standoff: 4 }, showgrid: false }, yaxis: { range: [0, top * 1.04], nticks: 5 }, bargap: 0.25, margin: { l: 54, r: 10, t: 6, b: 38 }, height: 200, font: small() }, true);
}

function measures(part, figure) {
  const place = figure.querySelector(".chart");
  const controls = figure.querySelector(".controls");
  const own = ((kept.measures ??= {})[part.name] ??= {});
  let group = part.measures.find((each) => each.title === own.title) ?? part.measures[0];
  const grid = make("div", { className: "panels" });
  const slider = make("input", { type: "range", min: 0 });
  const output = make("output");
  let steps = [];
  let panels = [];

  function value(curve, step) {
    const e = curve.step.findLastIndex((s) => s <= step);
    return e < 0 ? null : curve.median[e];
  }

  function move() {
    const step = steps[slider.value];
    output.textContent = `step ${number(step)}`;
    slider.setAttribute("aria-valuetext", `step ${number(step)}`);
    for (const { panel, box, cursor, read } of panels) {
      if (panel.spectrum && !Object.keys(panel.arms).length) {
        if (!charts.get(box).stale) panelSpectrum(panel, step, box);
        continue;
      }
      const arms = visible(part).filter((arm) => panel.arms[arm.name]);
      const axis = box.layout && box.layout.xaxis;
      if (axis && axis.range) {
        const [low, high] = axis.range;
        const x = axis.type === "log" ? Math.log10(step) : step;
        const share = (x - low) / (high - low);
        cursor.hidden = share < 0 || share > 1;
        cursor.style.left = `${54 + share * (box.clientWidth - 64)}px`;
      }
      read.replaceChildren();
      for (const arm of arms) {
        const at = value(panel.arms[arm.name], step);
        const shown = at === null ? "none" : panel.share ? percent(at * 10000) : short(at);
        const name = make("span", { className: "unseen", textContent: ` ${arm.name}: ` });
        read.append(make("span", { title: arm.name }, key(arm), name, shown), " ");
      }
    }
  }

  function build() {
    const names = new Set(group.panels.flatMap((panel) => Object.keys(panel.arms)));
    const arms = part.arms.filter((arm) => (names.size ? names.has(arm.name) : arm.shown));
    const accuracy = (side, title) => ({
      title, share: true, log: false,
      arms: Object.fromEntries(arms.map((arm) => [arm.name, { step: arm.step, median: middle(arm, side) }])),
    });
    const all = [accuracy("val", "Validation accuracy"), accuracy("train", "Training accuracy"), ...group.panels];
    const taken = new Set(all.flatMap((p) => [...Object.values(p.arms).flatMap((own) => own.step), ...(p.spectrum ? p.spectrum.step : [])]));
    steps = [...taken].filter((step) => step > 0).sort((a, b) => a - b);
    slider.max = steps.length - 1;
    slider.value = own.step ? Math.max(0, steps.findLastIndex((step) => step <= own.step)) : Math.floor(steps.length / 2);
    grid.replaceChildren();
    panels = all.map((panel) => {
      const box = make("div");
      const cursor = make("div", { className: "cursor", hidden: true });
      const read = make("p", { className: "read" });
      const only = panel.spectrum && !Object.keys(panel.arms).length;
      const title = panel.title + (only ? `, ${part.arms.length > 1 ? `${panel.spectrum.arm}, ` : ""}first run` : "");
      grid.append(make("div", { className: "panel" }, make("h4", { textContent: title }), make("div", { className: "plot" }, box, cursor), read));
      chart(box, () => 200, (element) => {
        if (only) panelSpectrum(panel, steps[slider.value], element);
        else {
          panelCurves(panel, part, arms, element);
          element.removeAllListeners?.("plotly_relayout");
          element.on("plotly_relayout", move);
        }
        requestAnimationFrame(move);
      });
      return { panel, box, cursor, read };
    });
    move();
  }

  if (part.measures.length > 1) {
    controls.append(pick("Measure", part.measures.map((each) => each.title), group.title, (title) => {
      group = part.measures.find((each) => each.title === title);
      own.title = title;
      keep();
      build();
    }));
  }
  slider.addEventListener("input", () => requestAnimationFrame(move));
  slider.addEventListener("change", () => {
    own.step = steps[slider.value];
    keep();
  });
  slider.setAttribute("aria-label", "Step at which values are read");
  controls.append(make("label", { className: "slider" }, output, slider));
  place.append(grid);
  place.removeAttribute("role"); // its panels have texts
  place.setAttribute("role", "group");
  build();
}

function films(part, figure) {
  const place = figure.querySelector(".chart");
  const controls = figure.querySelector(".controls");
  let film = part.films[0];
  const slider = make("input", { type: "range", min: 0 });
  const output = make("output");
  const box = make("div");
  slider.setAttribute("aria-label", "Checkpoint");

  function draw() {
    const frame = Number(slider.value);
    const reach = 1.12 * film.x.flat().concat(film.y.flat()).reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);
    const [x, y] = [film.x[frame], film.y[frame]];
    const text = `step ${number(film.step[frame])}`;
    output.textContent = `${text}: ${Math.round(film.share[frame] / 100)} % of the variance`;
    slider.setAttribute("aria-valuetext", text);
    const points = {
      x, y, mode: "markers+text", text: x.map((_, i) => String(i)), textposition: "top center", textfont: { size: 10 }, cliponaxis: false,
      marker: { size: 9, color: x.map((_, i) => i), colorscale: ROUND, cmin: 0, cmax: x.length, showscale: false },
      hovertemplate: "token %{text}<extra></extra>",
    };
    const axis = { range: [-reach, reach], nticks: 5, fixedrange: true };
    const size = Math.min(place.clientWidth, 560);
    plot(box, [points], {
      width: size, height: size, xaxis: { ...axis, title: { text: "first component", standoff: 6 } },
      yaxis: { ...axis, title: { text: "second component", standoff: 2 }, scaleanchor: "x" }, margin: { l: 56, r: 12, t: 12, b: 50 },
    });
  }

  function choose() {
    slider.max = film.step.length - 1;
    slider.value = film.step.length - 1;
    slider.disabled = film.step.length < 2;
  }

  if (part.films.length > 1) {
    controls.append(pick("Folder", part.films.map((each) => each.arm), film.arm, (arm) => {
      film = part.films.find((each) => each.arm === arm);
      choose();
      draw();
    }));
  }
  controls.append(make("label", { className: "slider" }, output, slider));
  place.append(box);
  slider.addEventListener("input", () => requestAnimationFrame(draw));
  choose();
  chart(box, () => Math.min(place.clientWidth || 560, 560), draw);
}

// ---- controls

function pick(label, options, current, change) {
  const select = make("select", {}, ...options.map((text) => make("option", { textContent: text, value: text, selected: text === current })));
  select.addEventListener("change", () => change(select.value));
  return make("label", { className: "pick" }, label, select);
}

let groups = 0;
function segments(label, options, current, change) {
  const name = `segments-${(groups += 1)}`;
  const inputs = Object.entries(options).map(([value, text]) => {
    const input = make("input", { type: "radio", name, value, checked: value === current });
    input.addEventListener("change", () => change(value));
    return make("label", {}, input, text);
  });
  return make("fieldset", { className: "segments" }, make("legend", { textContent: label }), ...inputs);
}

function legend(part, section) {
  const box = section.querySelector(".arms");
  const cells = new Map([...section.querySelector("tbody").rows].map((row) => [row, row.firstElementChild.textContent]));
  const hidden = (kept.hidden ??= {});
  const buttons = part.arms.map((arm) => {
    arm.on = !(hidden[`${part.name}/${arm.name}`] ?? !arm.shown);
    const button = make("button", { type: "button" }, key(arm), arm.name);
    button.addEventListener("click", () => {
      set(arm, !arm.on);
      show();
    });
    return button;
  });

  function set(arm, on) {
    arm.on = on;
    hidden[`${part.name}/${arm.name}`] = !on;
    keep();
  }

  function show() {
    part.arms.forEach((arm, i) => buttons[i].setAttribute("aria-pressed", String(arm.on)));
    for (const [row, name] of cells) row.classList.toggle("off", !part.arms.find((arm) => arm.name === name)?.on);
    refresh();
  }

  for (const [row, name] of cells) {
    const arm = part.arms.find((each) => each.name === name);
    if (arm) row.firstElementChild.prepend(key(arm));
  }
  box.append(...part.arms.map((arm, i) => [arm.place, buttons[i]]).sort(([a], [b]) => a - b).map(([, button]) => button));
  if (part.arms.length > 6) {
    const several = (text, choose) => {
      const tool = make("button", { type: "button", className: "tool", textContent: text });
      tool.addEventListener("click", () => {
        part.arms.forEach((arm) => set(arm, choose(arm)));
        show();
      });
      return tool;
    };
    const some = part.arms.some((arm) => !arm.shown);
    box.prepend(several("all", () => true), several("none", () => false), ...(some ? [several("as at first", (arm) => arm.shown)] : []));
  }
  part.arms.forEach((arm, i) => buttons[i].setAttribute("aria-pressed", String(arm.on)));
  show();
  return () => {
    buttons.forEach((button, i) => button.firstChild.replaceWith(key(part.arms[i])));
    for (const [row, name] of cells) {
      const arm = part.arms.find((each) => each.name === name);
      if (arm) row.firstElementChild.firstChild.replaceWith(key(arm));
    }
  };
}

function sortable(section) {
  const table = section.querySelector("table");
  const heads = [...table.querySelectorAll("thead th")];
  const rank = (text) => {
    const found = text.replaceAll(",", "").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/);
    if (!found) return null;
    return Number(found[0]) + (text.startsWith(">") ? 0.5 : text.startsWith("<") ? -1e-9 : 0);
  };
  heads.forEach((head, column) => {
    const isText = table.querySelector("tbody tr")?.children[column].matches("th, .text");
    head.querySelector("button").addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order === 1 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      const values = new Map(rows.map((row) => {
        const text = row.children[column].textContent.trim();
        return [row, isText ? text : rank(text)];
      }));
      const compare = (a, b) => {
        const [x, y] = [values.get(a), values.get(b)];
        if (x === null || y === null) return (x === null) - (y === null); // unknown stays below
        return order * (isText ? x.localeCompare(y, "en", { numeric: true }) : x - y);
      };
      table.tBodies[0].append(...rows.sort(compare));
    });
  });
  if (table.querySelector(".more")) {
    const input = make("input", { type: "checkbox" });
    input.addEventListener("change", () => table.parentElement.classList.toggle("all", input.checked));
    section.querySelector(".controls").append(make("label", { className: "check" }, input, "all columns"));
  }
}

function grids(part) {
  const families = {};
  for (const arm of part.arms) (families[arm.family] ??= []).push(arm);
  const found = {};
  const lines = []; // families in which one entry varies, in its order
  for (const [family, arms] of Object.entries(families)) {
    const varying = {};
    for (const entry of Object.keys(arms[0].values)) {
      const values = [...new Set(arms.map((arm) => arm.values[entry]))];
      if (values.length > 1 && values.every((v) => typeof v === "number")) varying[entry] = values.sort((a, b) => a - b);
    }
    const entries = Object.keys(varying);
    if (entries.length > 1) found[family] = { arms, varying };
    if (entries.length === 1 && varying[entries[0]].length > 2) {
      const [name] = entries;
      lines.push({ family, name, arms: [...arms].sort((a, b) => a.values[name] - b.values[name]) });
    }
  }
  return [found, lines];
}

function phaseControls(part, figure) {
  const controls = figure.querySelector(".controls");
  const element = figure.querySelector(".chart");
  const draw = () => phase(part, element);
  const rows = () => part.grids[part.phase?.family ?? Object.keys(part.grids)[0]].varying[part.phase?.y ?? ""]?.length ?? 8;
  const fill = () => {
    draw();
    controls.replaceChildren();
    const state = part.phase;
    const { varying } = part.grids[state.family];
    const entries = Object.keys(varying);
    const change = (set) => (value) => {
      set(value);
      fill();
    };
    if (Object.keys(part.grids).length > 1) {
      controls.append(pick("Folder", Object.keys(part.grids), state.family, change((family) => { part.phase = { family }; })));
    }
    if (entries.length > 2) {
      controls.append(pick("Across", entries, state.x, change((entry) => { if (entry === state.y) state.y = state.x; state.x = entry; state.at = {}; })));
      controls.append(pick("Up", entries, state.y, change((entry) => { if (entry === state.x) state.x = state.y; state.y = entry; state.at = {}; })));
    }
    for (const entry of entries.filter((each) => each !== state.x && each !== state.y)) {
      controls.append(pick(words(entry), varying[entry].map(String), String(state.at[entry]), change((value) => { state.at[entry] = Number(value); })));
    }
  };
  let isFirst = true;
  chart(element, () => (isFirst ? rows() * cellHeight(rows()) + 100 : null), () => {
    reserve(element, null); // one diagram beside the other, or below it
    if (isFirst) fill();
    else draw();
    isFirst = false;
  });
}

// ---- the page

const DRAW = { survival, dots, curves, entry };
const HEIGHT = { survival: () => 380, dots: (part) => 64 + 52 * Math.max(1, visible(part).length), curves: () => 420, entry: () => null };

function start() {
  document.data = JSON.parse(document.getElementById("data").textContent);
  const keys = [];
  document.data.parts.forEach((part, i) => {
    const section = document.getElementById(`part-${i}`);
    [...part.arms].sort((a, b) => b.shown - a.shown).forEach((arm, place) => { arm.place = place; });
    for (const arm of part.arms) arm.step = part.steps[arm.step];
    [part.grids, part.lines] = grids(part);
    sortable(section);
    for (const figure of section.querySelectorAll("figure")) {
      const element = figure.querySelector(".chart");
      const kind = element.dataset.kind;
      if (kind === "curves") {
        figure.querySelector(".controls").append(segments("Accuracy on", { val: "validation examples", train: "training examples" }, "val", (side) => {
          part.side = side;
          paint(element);
        }));
      }
    }
    keys.push(legend(part, section));
    const bar = section.querySelector(".arms");
    new ResizeObserver(() => section.style.setProperty("--bar", `${bar.offsetHeight}px`)).observe(bar);
    for (const figure of section.querySelectorAll("figure")) {
      const element = figure.querySelector(".chart");
      const kind = element.dataset.kind;
      if (kind === "measures") measures(part, figure);
      else if (kind === "films") films(part, figure);
      else if (kind === "phase") phaseControls(part, figure);
      else chart(element, () => HEIGHT[kind](part), () => DRAW[kind](part, element));
    }
  });
  document.querySelector("nav").append(segments("Steps", { log: "logarithmic", linear: "linear" }, kept.linear ? "linear" : "log", (scale) => {
    kept.linear = scale === "linear";
    keep();
    refresh();
  }));

  const anew = () => {
    keys.forEach((paintKeys) => paintKeys());
    refresh();
  };
  dark.addEventListener("change", anew);
  let waiting = 0;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar comes and goes
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(refresh, 150);
  });
  addEventListener("beforeprint", () => {
    root.dataset.print = "";
    keys.forEach((paintKeys) => paintKeys());
    refresh(true);
  });
  addEventListener("afterprint", () => {
    delete root.dataset.print;
    anew();
  });
}

function follow(stamp) { // a server shows results while training goes on
  const status = document.querySelector(".status");
  let touched = performance.now();
  for (const kind of ["pointerdown", "keydown", "wheel"]) {
    addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
  }
  setInterval(async () => {
    try {
      const now = await (await fetch("/stamp", { cache: "no-store" })).text();
      const isQuiet = performance.now() - touched > 3000; // nobody is moving a slider
      if (now !== stamp && isQuiet && !document.hidden) location.reload();
      else if (document.data) status.textContent = "Follows the training: new evaluations are shown as they come.";
    } catch {
      status.textContent = "The server has stopped; this is what it showed last.";
    }
  }, 2000);
}

if (document.getElementById("data")) start();
if (root.dataset.stamp) follow(root.dataset.stamp);
