// ---- charts with a slider: measures at a step, embeddings at a checkpoint

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
