const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** An element with attributes, and children that are elements or text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** One tile of a sheet as the background of an element; its size is the element's. */
function show(made, sheet, index) {
  const column = index % sheet[1], row = Math.floor(index / sheet[1]);
  const place = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0) + "%";
  made.style.backgroundImage = `url(${sheet[0]})`;
  made.style.backgroundSize = `${100 * sheet[1]}% ${100 * sheet[2]}%`;
  made.style.backgroundPosition = `${place(column, sheet[1])} ${place(row, sheet[2])}`;
  return made;
}

function captioned(sheet, index, caption) {
  const tile = show(element("div", { class: "tile", role: "img", "aria-label": caption }), sheet, index);
  return element("figure", {}, tile, element("figcaption", {}, caption));
}

function definitions(pairs) {
  return element("dl", {}, ...pairs.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]));
}

/** One stop for the Tab key; the arrow keys, Home and End move among the buttons of a group. */
function roving(group) {
  const buttons = () => [...group.querySelectorAll("button, .point")];
  const stop = (chosen) => buttons().forEach((button) => button.setAttribute("tabindex", button === chosen ? "0" : "-1"));
  const above = (all, at, sign) => {
    const here = all[at].getBoundingClientRect();
    const found = all.filter((button) => {
      const there = button.getBoundingClientRect();
      return Math.abs(there.left - here.left) < 2 && sign * (there.top - here.top) > 2;
    });
    return found.length ? all.indexOf(sign > 0 ? found[0] : found[found.length - 1]) : at;
  };
  if (!group.dataset.roving) {
    group.dataset.roving = "yes";
    group.addEventListener("focusin", (event) => stop(event.target.closest("button, .point")));
    group.addEventListener("keydown", (event) => {
      const all = buttons(), at = all.indexOf(document.activeElement);
      if (at < 0) return;
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key]
        ?? { ArrowDown: above(all, at, 1), ArrowUp: above(all, at, -1) }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      all[Math.min(all.length - 1, Math.max(0, to))].focus();
    });
  }
  stop(buttons()[0]);
}

/** Four significant digits. */
function digits(value) {
  return typeof value === "number" ? (Number.isInteger(value) ? String(value) : Number(value.toPrecision(4)).toString()) : value;
}

const percent = (share) => (100 * share).toFixed(share < 0.1 ? 1 : 0) + " %";
