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
