const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** A number with four significant digits; whole numbers and text as they are. */
const digits = (value) =>
  typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : value;

/** Make elements of a namespace from a tag, attributes and children. */
const maker = (namespace) => (tag, attributes, ...children) => {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const html = maker(document.documentElement.namespaceURI);

/** An element that shows one tile of a sheet; the element's size is the tile's. */
function tile(tag, [uri, columns, rows], index, attributes) {
  const element = html(tag, { class: "tile", ...attributes });
  const [x, y] = [index % columns, Math.floor(index / columns)];
  element.style.backgroundImage = `url(${uri})`;
  element.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  element.style.backgroundPosition = `${(100 * x) / (columns - 1 || 1)}% ${(100 * y) / (rows - 1 || 1)}%`;
  return element;
}

const captioned = (picture, caption) => html("figure", {}, picture, html("figcaption", {}, caption));
const definitions = (pairs) =>
  html("dl", {}, ...pairs.flatMap(([term, value]) => [html("dt", {}, term), html("dd", {}, value)]));

// Tab stops once in a group; arrow keys, Home and End move inside it
const stopsAround = (element) => [...(element.closest("[role=group]")?.querySelectorAll("button, .point") ?? [])];

document.addEventListener("focusin", ({ target }) => {
  for (const stop of stopsAround(target)) stop.setAttribute("tabindex", stop === target ? 0 : -1);
});

document.addEventListener("keydown", (event) => {
  const stops = stopsAround(event.target), at = stops.indexOf(event.target), last = stops.length - 1;
  if (at < 0) return;
  const row = getComputedStyle(event.target.parentElement).gridTemplateColumns.split(" ").length;
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row, Home: -last, End: last };
  if (!(event.key in moves)) return;
  event.preventDefault();
  stops[Math.min(last, Math.max(0, at + moves[event.key]))].focus();
});
