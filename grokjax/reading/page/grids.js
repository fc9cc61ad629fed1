// ---- arms whose entries vary: a curve over one, a phase diagram over two

function grids(part) {
  const families = {};
  for (const arm of part.arms) {
    const texts = Object.entries(arm.values).filter(([, value]) => typeof value === "string");
    const own = [arm.family, ...texts.map(([entry, value]) => `${entry}=${value}`)].join(" "); // texts are no axis
    (families[own] ??= []).push(arm);
  }
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
    const used = controls.contains(document.activeElement) && document.activeElement.parentElement.firstChild.textContent;
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
    [...controls.children].find((label) => label.firstChild.textContent === used)?.lastChild.focus(); // keys go on there
  };
  let isFirst = true;
  chart(element, () => (isFirst ? rows() * cellHeight(rows()) + 100 : null), () => {
    reserve(element, null); // one diagram beside the other, or below it
    if (isFirst) fill();
    else draw();
    isFirst = false;
  });
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
