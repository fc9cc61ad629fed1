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

start();
