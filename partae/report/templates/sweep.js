const { runs, keys, measures } = data;
const COLOURS = 8, NONE = "";
const LEFT = 44, RIGHT = 322, TOP = 26, BOTTOM = 192; // of a panel's axes
const svg = maker("http://www.w3.org/2000/svg");
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
const compare = (one, other) =>
  isNumber(one) && isNumber(other) ? one - other : String(one).localeCompare(String(other));
// of NONE there is one value, undefined
const valuesOf = (key) => [...new Set(runs.map((run) => run.values[key]))].sort(compare);
const measured = Object.keys(measures).filter((name) => runs.some((run) => run.measures[name] !== null));

/** Positions of values between two ends, with ticks; logarithmic on request if the values span a decade. */
function scale(values, from, to, mayBeLogarithmic) {
  const isLogarithmic = mayBeLogarithmic && Math.min(...values) > 0
    && Math.max(...values) >= 10 * Math.min(...values);
  const map = isLogarithmic ? Math.log10 : (value) => value;
  let low = Math.min(...values.map(map)), high = Math.max(...values.map(map));
  if (low === high) [low, high] = [low - Math.abs(low) * 0.1, high + (Math.abs(high) * 0.1 || 1)];
  const margin = (high - low) * 0.06;
  [low, high] = [low - margin, high + margin];
  const ticks = [];
  if (isLogarithmic) {
    for (let power = Math.floor(low); power <= high; power++)
      for (const factor of high - low < 2.8 ? [1, 2, 5] : [1]) ticks.push(factor * 10 ** power);
  } else {
    const power = 10 ** Math.floor(Math.log10((high - low) / 5));
    const step = power * [1, 2, 5, 10].find((factor) => 5 * factor * power >= high - low);
    for (let count = Math.ceil(low / step); count * step <= high; count++) ticks.push(count * step);
  }
  const position = (value) => from + ((map(value) - low) / (high - low)) * (to - from);
  return { position, ticks: ticks.filter((tick) => map(tick) >= low && map(tick) <= high) };
}

function panel(name, x, series) {
  const { label } = measures[name];
  const points = runs
    .map((run, index) => ({ run, index, x: x === NONE ? index : Number(run.values[x]), y: run.measures[name] }))
    .filter((point) => point.y !== null)
    .sort((one, other) => one.x - other.x);
  const across = scale(points.map((point) => point.x), LEFT, RIGHT, true);
  // max-approximation errors span decades where atoms overlap
  const up = scale(points.map((point) => point.y), BOTTOM, TOP, name.startsWith("max_approximation_error"));
  const text = (x, y, anchor, content) => svg("text", { x, y, "text-anchor": anchor }, content);
  const drawing = svg("svg", { viewBox: "0 0 330 230", role: "group", "aria-label": label },
    svg("text", { class: "title", x: LEFT, y: 14 }, label),
    text((LEFT + RIGHT) / 2, BOTTOM + 33, "middle", x === NONE ? "job" : keys[x]),
    ...across.ticks.map((tick) => text(across.position(tick), BOTTOM + 16, "middle", digits(tick))),
    ...up.ticks.map((tick) => text(LEFT - 4, up.position(tick) + 4, "end", digits(tick))),
    ...up.ticks.map((tick) => svg("line", { x1: LEFT, x2: RIGHT, y1: up.position(tick), y2: up.position(tick) })),
  );
  valuesOf(series).forEach((value, number) => {
    const color = `color: var(--s${number % COLOURS})`;
    const curve = points.filter((point) => point.run.values[series] === value);
    const place = (point) => [across.position(point.x), up.position(point.y)];
    if (x !== NONE && new Set(curve.map((point) => point.x)).size === curve.length)
      drawing.append(svg("polyline", { class: "curve", style: color, points: curve.map(place).join(" ") }));
    for (const point of curve) {
      const [cx, cy] = place(point), hint = `${point.run.folder}: ${label} ${digits(point.y)}`;
      const role = { role: "button", "aria-label": hint, tabindex: 0, "data-run": point.index };
      drawing.append(svg("circle", { class: "point", style: color, cx, cy, r: 5, ...role }, svg("title", {}, hint)));
    }
  });
  return drawing;
}

let chosen = 0;

function draw() {
  const x = byId("x").value, series = byId("series").value;
  byId("panels").replaceChildren(...measured.map((name) => panel(name, x, series)));
  byId("legend").replaceChildren(...(series === NONE ? [] : valuesOf(series)).map((value, number) =>
    html("li", { style: `color: var(--s${number % COLOURS})` }, html("span", {}, `${keys[series]} ${value}`))));
  chooseRun(chosen);
}

function chooseRun(index) {
  const run = runs[index];
  if (!run) return;
  chosen = index;
  for (const each of document.querySelectorAll("[data-run]"))
    each.classList.toggle("chosen", Number(each.dataset.run) === index);
  const report = run.report
    ? [html("a", { href: run.report, id: "report" }, "Its report")]
    : ["For its report: ", html("code", {}, run.evaluate)];
  const numbers = measured.filter((name) => run.measures[name] !== null)
    .map((name) => [measures[name].label, digits(run.measures[name])]);
  byId("run").replaceChildren(
    html("h3", {}, Object.keys(keys).map((key) => `${keys[key]} ${run.values[key]}`).join(", ") || run.folder),
    html("p", {}, ...report),
    definitions(run.status === "finished" ? numbers : [...numbers, ["status", run.status]]),
  );
  if (!run.atoms) return;
  const { sheet, count, total } = run.atoms;
  byId("run").append(
    html("div", { class: "atoms", role: "img", "aria-label": "its atoms" },
      ...[...Array(count).keys()].map((number) => tile("div", sheet, number))),
    html("small", {}, count === total ? `Its ${total} atoms` : `The first ${count} of its ${total} atoms`),
  );
}

// for each column of the table, its heading and its value for a run
const columns = [
  ...Object.keys(keys).map((key) => [keys[key], (run) => run.values[key]]),
  ...Object.keys(measures).map((name) => [measures[name].label, (run) => run.measures[name]]),
  ["status", (run) => run.status],
  ["run", (run) => run.folder],
];
const rows = runs.map((run, index) => html("tr", { "data-run": index },
  ...columns.map(([, value]) => html("td", {}, digits(value(run)) ?? ""))));

function sortBy(heading) {
  const sign = heading.ariaSort === "ascending" ? -1 : 1, value = columns[heading.cellIndex][1];
  for (const each of heading.parentElement.cells) each.ariaSort = "none";
  heading.ariaSort = sign > 0 ? "ascending" : "descending";
  const order = [...runs.keys()].sort((one, other) => {
    const [first, second] = [value(runs[one]), value(runs[other])];
    // runs that were not measured stay last
    if (first === null || second === null) return (first === null) - (second === null);
    return sign * compare(first, second);
  });
  byId("runs").tBodies[0].append(...order.map((index) => rows[index]));
}

document.addEventListener("click", ({ target }) => {
  const run = target.closest("[data-run]"), heading = target.closest("th");
  if (heading?.ariaSort) sortBy(heading);
  if (!run) return;
  chooseRun(Number(run.dataset.run));
  byId("run").scrollIntoView({ block: "nearest" });
});
document.addEventListener("keydown", (event) => {
  if (!event.target.matches(".point") || !["Enter", " "].includes(event.key)) return;
  event.preventDefault();
  event.target.dispatchEvent(new Event("click", { bubbles: true }));
});

byId("runs").tHead.append(html("tr", {}, ...columns.map(([name]) =>
  html("th", { scope: "col", "aria-sort": "none" }, html("button", {}, name)))));
byId("runs").tBodies[0].append(...rows);
runs.forEach(({ report, folder }, index) => {
  if (report) rows[index].lastChild.replaceChildren(html("a", { href: report }, folder));
});
// the finest sweep runs along the axis, as in the figures of a paper
const numeric = Object.keys(keys).filter((key) => valuesOf(key).every(isNumber))
  .sort((one, other) => valuesOf(other).length - valuesOf(one).length);
const options = (names) => names.map((key) => html("option", { value: key }, keys[key]));
byId("x").append(...options(numeric), html("option", { value: NONE }, "job"));
byId("series").append(html("option", { value: NONE }, "nothing"), ...options(Object.keys(keys)));
byId("series").value = numeric[1] ?? Object.keys(keys).find((key) => key !== numeric[0]) ?? NONE;
for (const id of ["x", "series"]) byId(id).addEventListener("change", draw);
draw();
