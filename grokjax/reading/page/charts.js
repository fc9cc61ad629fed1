// ---- charts of all runs

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
  const families = new Set(part.arms.map((arm) => arm.family));
  const own = (arm) => (families.size === 1 && arm.name.slice(arm.family.length).trim()) || arm.name;
  arms.forEach((arm, row) => {
    annotations.push({
      x: 0, xref: "paper", xanchor: "left", y: row + 0.17, showarrow: false, font: { size: 12.5, color: ink },
      text: plain(fitted(`${arm.grokked} of ${arm.runs} · `, own(arm), element.clientWidth - 32, 12.5)), align: "left",
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

function fitted(before, name, width, size) { // names differ at their ends, so their middle is left out
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  const fits = (text) => pen.measureText(before + text).width <= width;
  let shown = name;
  for (let half = Math.floor(name.length / 2); !fits(shown) && half > 2; half -= 1) {
    shown = `${name.slice(0, half)}…${name.slice(-half)}`;
  }
  return before + shown;
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
  const shapes = part.threshold === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: part.threshold, y1: part.threshold, line: { color: muted, width: 1, dash: "dot" } }];
  const title = side === "val" ? "validation accuracy" : "training accuracy";
  plot(element, [...thin, ...thick], { xaxis: axis, yaxis: shareAxis(title), shapes });
}
