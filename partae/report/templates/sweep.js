const { runs, keys, measures } = data;
const COLOURS = 8, NONE = "", BESIDE = 6, CROWD = 8;
const LEFT = 44, RIGHT = 322, TOP = 26, BOTTOM = 192; // of a panel's axes
const svg = maker("http://www.w3.org/2000/svg");
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
const compare = (one, other) =>
  isNumber(one) && isNumber(other) ? one - other : String(one).localeCompare(String(other));
// of NONE there is one value, undefined
const valuesOf = (key) => [...new Set(runs.map((run) => run.values[key]))].sort(compare);
const isCategorical = (key) => key !== NONE && !valuesOf(key).every(isNumber);
const valuesIn = (name) => runs.map((run) => run.measures[name]).filter((value) => value !== null);
const measured = Object.keys(measures).filter((name) => valuesIn(name).length);
const drawn = measured.filter((name) => new Set(valuesIn(name)).size > 1 || valuesIn(name).length === 1);
/** The settings of a run but for its seed and for some keys. */
const settings = ({ values }, ...but) =>
  JSON.stringify(Object.keys(values).filter((key) => key !== "seed" && !but.includes(key)).map((key) => values[key]));

/** The mean of numbers, and their sample standard deviation. */
function summary(numbers) {
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const squares = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return [mean, Math.sqrt(squares / Math.max(1, numbers.length - 1))];
}

/** Positions of values between two ends, with ticks and their texts; logarithmic on request if the values span a decade. */
function scale(values, from, to, mayBeLogarithmic) {
  const isLogarithmic = mayBeLogarithmic && Math.min(...values) > 0
    && Math.max(...values) >= 10 * Math.min(...values);
  const map = isLogarithmic ? Math.log10 : (value) => value;
  let low = Math.min(...values.map(map)), high = Math.max(...values.map(map));
  if (low === high) [low, high] = [low - Math.abs(low) * 0.1, high + (Math.abs(high) * 0.1 || 1)];
  const margin = (high - low) * 0.06;
  [low, high] = [low - margin, high + margin];
  const ticks = [];
  let text = (tick) => Number(tick.toPrecision(4)); // without the digits that rounding leaves behind
  if (isLogarithmic) {
    for (let power = Math.floor(low); power <= high; power++)
      for (const factor of high - low < 2.8 ? [1, 2, 5] : [1]) ticks.push(factor * 10 ** power);
  } else {
    const power = 10 ** Math.floor(Math.log10((high - low) / 5));
    const step = power * [1, 2, 5, 10].find((factor) => 5 * factor * power >= high - low);
    for (let count = Math.ceil(low / step); count * step <= high; count++) ticks.push(count * step);
    const places = Math.min(100, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    text = (tick) => Number(tick.toFixed(places)); // ticks that lie close need more digits
  }
  const position = (value) => from + ((map(value) - low) / (high - low)) * (to - from);
  const inside = ticks.filter((tick) => map(tick) >= low && map(tick) <= high);
  return { position, ticks: inside.map((tick) => [position(tick), String(text(tick))]) };
}

/** A setting as it is read: a run may have been started without it. */
const spelt = (value) => value === "" ? "not given" : value;

function panel(name, x, series) {
  const { label } = measures[name];
  const labels = isCategorical(x) ? valuesOf(x) : [];
  const abscissa = ({ values }, index) =>
    x === NONE ? index : labels.length ? labels.indexOf(values[x]) : Number(values[x]);
  const points = runs
    .map((run, index) => ({ run, index, x: abscissa(run, index), y: run.measures[name] }))
    .filter((point) => point.y !== null)
    .sort((one, other) => one.x - other.x);
  // max-approximation errors span decades where atoms overlap
  const up = scale(points.map((point) => point.y), BOTTOM, TOP, name.startsWith("max_approximation_error"));
  const left = Math.max(LEFT, 8 + 7 * Math.max(...up.ticks.map(([, number]) => number.length)));
  const across = scale(points.map((point) => point.x), left, RIGHT, !labels.length);
  const text = (x, y, anchor, content) => svg("text", { x, y, "text-anchor": anchor }, content);
  // many words stand upright, and need room below
  const isCrowded = labels.length > CROWD, longest = Math.max(0, ...labels.map((word) => word.length));
  const slanted = (x, y, content) =>
    svg("text", { x, y, "text-anchor": "end", transform: `rotate(${isCrowded ? -90 : -25} ${x} ${y})` }, content);
  const height = isCrowded ? BOTTOM + 14 + 6.5 * longest : 230;
  const drawing = svg("svg", { viewBox: `0 0 330 ${height}`, role: "group", "aria-label": label },
    svg("text", { class: "title", x: LEFT, y: 14 }, label),
    ...(labels.length ? [] : [text((left + RIGHT) / 2, BOTTOM + 33, "middle", x === NONE ? "job" : keys[x])]),
    ...(labels.length
      ? labels.map((label, place) => slanted(across.position(place), BOTTOM + 14, spelt(label)))
      : across.ticks.map(([place, number]) => text(place, BOTTOM + 16, "middle", number))),
    ...up.ticks.map(([place, number]) => text(left - 4, place + 4, "end", number)),
    ...up.ticks.map(([place]) => svg("line", { x1: left, x2: RIGHT, y1: place, y2: place })),
  );
  valuesOf(series).forEach((value, number) => {
    const color = `color: var(--s${number % COLOURS})`;
    const curve = points.filter((point) => point.run.values[series] === value);
    const place = (point) => [across.position(point.x), up.position(point.y)];
    // runs that differ in their seed only are one point of the curve: their mean, in a band of a deviation
    if (x !== NONE && new Set(curve.map(({ run }) => settings(run, x, series))).size === 1) {
      const means = [...Map.groupBy(curve, (point) => point.x)].map(([x, same]) =>
        [x, ...summary(same.map((point) => point.y))]);
      const edge = (sign) => means.map(([x, mean, deviation]) => place({ x, y: mean + sign * deviation }));
      if (labels.length)
        edge(1).forEach(([x, y1], index) =>
          drawing.append(svg("line", { class: "curve", style: color, x1: x, x2: x, y1, y2: edge(-1)[index][1] })));
      else
        drawing.append(
          svg("polygon", { class: "band", style: color, points: [...edge(1), ...edge(-1).reverse()].join(" ") }),
          svg("polyline", { class: "curve", style: color, points: edge(0).join(" ") }));
    }
    for (const point of curve) {
      const [cx, cy] = place(point), hint = `${point.run.folder}: ${label} ${digits(point.y)}`;
      const role = { role: "button", "aria-label": hint, tabindex: 0, "data-run": point.index };
      drawing.append(svg("circle", { class: "point", style: color, cx, cy, r: 5, ...role }, svg("title", {}, hint)));
    }
  });
  return drawing;
}

const atomOf = ({ sheet, ratio }, number) => tile("span", sheet, number, { style: `--ratio: ${ratio}` });

let chosen = 0;

function draw() {
  const x = byId("x").value, series = byId("series").value;
  byId("panels").replaceChildren(...drawn.map((name) => panel(name, x, series)));
  byId("legend").replaceChildren(...(series === NONE ? [] : valuesOf(series)).map((value, number) =>
    html("li", { style: `color: var(--s${number % COLOURS})` }, html("span", {}, `${keys[series]} ${spelt(value)}`))));
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
    html("h3", {}, Object.keys(keys).map((key) => `${keys[key]} ${spelt(run.values[key])}`).join(", ") || run.folder),
    html("p", {}, ...report),
    ...(run.command ? [html("p", {}, "To train it again: ", html("code", {}, run.command))] : []),
    definitions(run.status === "finished" ? numbers : [...numbers, ["status", run.status]]),
  );
  if (!run.atoms) return;
  const { count, total } = run.atoms;
  byId("run").append(
    html("div", { class: "atoms", role: "img", "aria-label": "its atoms" },
      ...[...Array(count).keys()].map((number) => atomOf(run.atoms, number))),
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
// a few atoms of each run stand before its row
runs.forEach(({ atoms }, index) => {
  const first = atoms ? [...Array(Math.min(BESIDE, atoms.count)).keys()] : [];
  rows[index].cells[0].prepend(...first.map((number) => atomOf(atoms, number)));
});

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
const [numeric, categorical] = [false, true].map((kind) => Object.keys(keys)
  .filter((key) => isCategorical(key) === kind && (key !== "seed" || Object.keys(keys).length === 1))
  .sort((one, other) => valuesOf(other).length - valuesOf(one).length));
const options = (names) => names.map((key) => html("option", { value: key }, keys[key]));
byId("x").append(...options([...numeric, ...categorical]), html("option", { value: NONE }, "job"));
byId("series").append(html("option", { value: NONE }, "nothing"), ...options(Object.keys(keys)));
byId("series").value = [...numeric, ...categorical][1] ?? NONE;
for (const id of ["x", "series"]) byId(id).addEventListener("change", draw);
draw();
