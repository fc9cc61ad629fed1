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
