const { runs, keys, measures } = data;
const COLOURS = 8, NONE = "";
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
const valuesOf = (key) => [...new Set(runs.map((run) => run.values[key]))]
  .sort((one, other) => (isNumber(one) && isNumber(other) ? one - other : String(one).localeCompare(String(other))));
const numeric = Object.keys(keys).filter((key) => valuesOf(key).every(isNumber));
// the finest sweep runs along the axis, as in the figures of a paper
numeric.sort((one, other) => valuesOf(other).length - valuesOf(one).length);

function option(value, text, chosen) {
  return element("option", { value, selected: chosen ? "" : null }, text);
}

const svg = (tag, attributes, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

/** Positions from values, logarithmic if wanted where all are positive and span a decade. */
function scale(values, from, to, wanted) {
  const logarithmic = wanted && Math.min(...values) > 0 && Math.max(...values) >= 10 * Math.min(...values);
  const on = logarithmic ? Math.log10 : (value) => value;
  let low = Math.min(...values.map(on)), high = Math.max(...values.map(on));
  if (low === high) { low -= Math.abs(low) * 0.1; high += Math.abs(high) * 0.1 || 1; }
  const margin = (high - low) * 0.06;
  const at = (value) => from + ((on(value) - low + margin) / (high - low + 2 * margin)) * (to - from);
  const ticks = [];
  if (logarithmic) {
    for (let power = Math.floor(low); power <= Math.ceil(high); power++)
      for (const factor of high - low < 2.5 ? [1, 2, 5] : [1]) ticks.push(factor * 10 ** power);
  } else {
    const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10);
    for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(Number(tick.toPrecision(10)));
  }
  return { at, ticks: ticks.filter((tick) => on(tick) >= low - margin && on(tick) <= high + margin) };
}

function panel(name, x, series) {
  const seen = runs.map((run, index) => ({ run, index, x: x === NONE ? index : Number(run.values[x]), y: run.measures[name] }))
    .filter((point) => point.y !== null);
  const drawing = svg("svg", { viewBox: "0 0 330 230", role: "group", "aria-label": measures[name].label });
  drawing.append(svg("text", { x: 44, y: 14, style: "fill: var(--ink); font-size: 12.5px" }, measures[name].label));
  if (!seen.length) return drawing;
  const across = scale(seen.map((point) => point.x), 44, 322, true);
  // an error that spans decades where atoms overlap
  const up = scale(seen.map((point) => point.y), 192, 26, name.startsWith("max_approximation_error"));
  for (const tick of up.ticks) drawing.append(
    svg("line", { class: "axis", x1: 44, x2: 322, y1: up.at(tick), y2: up.at(tick) }),
    svg("text", { x: 40, y: up.at(tick) + 4, "text-anchor": "end" }, digits(tick)));
  for (const tick of across.ticks) drawing.append(
    svg("text", { x: across.at(tick), y: 208, "text-anchor": "middle" }, digits(tick)));
  drawing.append(svg("text", { x: 183, y: 225, "text-anchor": "middle" }, x === NONE ? "job" : keys[x]));
  const groups = series === NONE ? [NONE] : valuesOf(series);
  groups.forEach((group, number) => {
    const colour = `var(--s${number % COLOURS})`;
    const points = seen.filter((point) => series === NONE || point.run.values[series] === group).sort((one, other) => one.x - other.x);
    const distinct = new Set(points.map((point) => point.x)).size === points.length;
    if (x !== NONE && distinct) drawing.append(svg("polyline", {
      class: "curve", stroke: colour, points: points.map((point) => `${across.at(point.x)},${up.at(point.y)}`).join(" ") }));
    for (const point of points) {
      const label = `${point.run.folder}: ${measures[name].label} ${digits(point.y)}`;
      const dot = svg("circle", { class: "point", cx: across.at(point.x), cy: up.at(point.y), r: 5, fill: colour,
        "data-run": point.index, tabindex: -1, role: "button", "aria-label": label }, svg("title", {}, label));
      dot.addEventListener("click", () => chooseRun(point.index, true));
      dot.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chooseRun(point.index, true); }
      });
      drawing.append(dot);
    }
  });
  roving(drawing);
  return drawing;
}

let chosen = 0;

function draw() {
  const x = byId("x").value, series = byId("series").value;
  const drawn = Object.keys(measures).filter((name) => runs.some((run) => run.measures[name] !== null));
  byId("panels").replaceChildren(...drawn.map((name) => panel(name, x, series)));
  byId("legend").replaceChildren(...(series === NONE ? [] : valuesOf(series).map((value, number) => element("li", {},
    element("i", { style: `color: var(--s${number % COLOURS})` }), `${keys[series]} ${value}`))));
  chooseRun(chosen, false);
}

function chooseRun(index, move) {
  const run = runs[index];
  if (!run) return;
  chosen = index;
  document.querySelectorAll("[data-run]").forEach((made) => made.classList.toggle("chosen", Number(made.dataset.run) === index));
  const parts = [
    element("h3", {}, Object.keys(keys).map((key) => `${keys[key]} ${run.values[key]}`).join(", ") || run.folder),
    element("p", {}, run.report ? element("a", { href: run.report, id: "report" }, "Its report") : element("span", { class: "muted" },
      "For its report: ", element("code", {}, run.evaluate))),
    definitions([...Object.keys(measures).filter((name) => run.measures[name] !== null)
      .map((name) => [measures[name].label, digits(run.measures[name])]), ...(run.status === "finished" ? [] : [["status", run.status]])]),
  ];
  if (run.atoms) {
    const { sheet, count, total } = run.atoms;
    const tiles = [...Array(count).keys()].map((index) => show(element("div", { class: "tile" }), sheet, index));
    parts.push(element("div", { class: "atoms", role: "img", "aria-label": "its atoms" }, ...tiles),
      element("small", {}, count === total ? `Its ${total} atoms` : `The first ${count} of its ${total} atoms`));
  }
  byId("run").replaceChildren(...parts);
  if (move) byId("run").scrollIntoView({ block: "nearest" });
}

let sorted = { column: null, sign: 1 };

function fillTable() {
  const columns = [
    ...Object.keys(keys).map((key) => ({ name: keys[key], of: (run) => run.values[key] })),
    ...Object.keys(measures).map((name) => ({ name: measures[name].label, of: (run) => run.measures[name] })),
    ...(runs.every((run) => run.status === "finished") ? [] : [{ name: "status", of: (run) => run.status }]),
    { name: "run", of: (run) => run.folder, link: true },
  ];
  const order = [...runs.keys()];
  if (sorted.column !== null) {
    const of = columns[sorted.column].of;
    order.sort((one, other) => {
      const [a, b] = [of(runs[one]), of(runs[other])];
      if (a === null || b === null) return (a === null) - (b === null); // what was not measured stays last
      return sorted.sign * (isNumber(a) && isNumber(b) ? a - b : String(a).localeCompare(String(b)));
    });
  }
  byId("runs").replaceChildren(
    element("thead", {}, element("tr", {}, ...columns.map(({ name }, column) => element("th", {
      scope: "col", "aria-sort": sorted.column === column ? (sorted.sign > 0 ? "ascending" : "descending") : "none",
    }, element("button", { type: "button", onclick: () => {
      sorted = { column, sign: sorted.column === column ? -sorted.sign : 1 };
      fillTable();
      byId("runs").querySelectorAll("th button")[column].focus();
    } }, name))))),
    element("tbody", {}, ...order.map((index) => element("tr", {
      "data-run": index, class: index === chosen ? "chosen" : "", onclick: () => chooseRun(index, true),
    }, ...columns.map(({ of, link }) => {
      const value = of(runs[index]);
      const text = value === null ? "" : digits(value);
      if (!link) return element("td", {}, text);
      return element("td", {}, runs[index].report ? element("a", { href: runs[index].report }, text) : text);
    })))),
  );
}

const varied = Object.keys(keys);
byId("x").append(...numeric.map((key, at) => option(key, keys[key], at === 0)), option(NONE, "job", numeric.length === 0));
byId("series").append(option(NONE, "nothing"), ...varied.map((key) =>
  option(key, keys[key], key === (numeric[1] ?? varied.find((other) => other !== numeric[0])))));
byId("x").addEventListener("change", draw);
byId("series").addEventListener("change", draw);
draw();
fillTable();
