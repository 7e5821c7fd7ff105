const { atoms, examples, operator } = data;
document.documentElement.style.setProperty("--ratio", data.shape[1] / data.shape[0]);
const place = new Map(atoms.number.map((number, index) => [number, index]));
byId("atoms-note").textContent = atoms.number.length === atoms.total
  ? `${atoms.total} atoms.` : `The ${atoms.number.length} of ${atoms.total} atoms that add most to the images.`;

function chooseAtom(index, move) {
  for (const tile of byId("atoms").children) tile.setAttribute("aria-pressed", Number(tile.dataset.index) === index);
  const images = atoms.strongest[index].map((image, rank) =>
    captioned(atoms.images, image, atoms.strength[index][rank].toPrecision(3)));
  byId("atom").replaceChildren(
    element("h3", {}, `Atom ${atoms.number[index]}`),
    element("div", { class: "pair" }, captioned(atoms.sheet, index, "the atom"), captioned(atoms.operated, index, `its ${operator}`)),
    definitions([
      ["share in the images", percent(atoms.share[index])],
      ["used by", percent(atoms.usage[index]) + " of the images"],
      ["mean activation", digits(atoms.mean[index])],
      ["sparsity", digits(atoms.sparsity[index])],
    ]),
    element("small", {}, "The images that use it most, with its entry of their code"),
    element("div", { class: "few" }, ...images),
  );
  if (move) byId("atom").scrollIntoView({ block: "nearest" });
}

function orderAtoms() {
  const key = byId("order").value, values = atoms[key], sign = key === "number" ? 1 : -1;
  const order = [...values.keys()].sort((one, other) => sign * (values[one] - values[other]));
  byId("atoms").replaceChildren(...order.map((index) => show(element("button", {
    class: "tile", type: "button", "data-index": index, "aria-label": `Atom ${atoms.number[index]}`, "aria-pressed": false,
    onclick: () => chooseAtom(index, true),
  }), atoms.sheet, index)));
  roving(byId("atoms"));
  chooseAtom(order[0], false);
}

function goToAtom(number) {
  const index = place.get(number);
  if (index === undefined) return;
  chooseAtom(index, true);
  byId("atoms").querySelector(`[data-index="${index}"]`).focus();
}

function chooseExample(index) {
  [...byId("examples").children].forEach((tile, at) => tile.setAttribute("aria-pressed", at === index));
  const code = examples.code[index], contribution = examples.contribution[index];
  const largest = Math.max(...code.map(Math.abs)) || 1;
  const bars = element("div", { class: "bars", role: "group", "aria-label": "Code" }, ...code.map((entry, number) => {
    const bar = element("button", {
      type: "button", title: `atom ${number}: ${digits(entry)}`, "aria-label": `Atom ${number}: ${digits(entry)}`,
      onclick: () => goToAtom(number),
    });
    bar.style.setProperty("--height", `${(100 * Math.abs(entry)) / largest}%`);
    return bar;
  }));
  const strongest = [...contribution.keys()].filter((number) => place.has(number) && contribution[number] > 0)
    .sort((one, other) => contribution[other] - contribution[one]).slice(0, 12);
  byId("example").replaceChildren(
    element("h3", {}, examples.names[index]),
    element("div", { class: "four" }, ...Object.entries(examples.rows).map(([name, sheet]) => captioned(sheet, index, name))),
    bars,
    element("small", {}, `The ${code.length} entries of its code, the largest ${digits(largest)}`),
    element("h3", { style: "margin-top: 1rem" }, "Made up of"),
    element("small", {}, "Its strongest atoms, with the share of each in the sum"),
    element("div", { class: "few" }, ...strongest.map((number) => {
      const tile = show(element("button", {
        class: "tile", type: "button", onclick: () => goToAtom(number),
        "aria-label": `Atom ${number}`, title: `atom ${number}, weighted by ${digits(code[number])}`,
      }), atoms.sheet, place.get(number));
      return element("figure", {}, tile, element("figcaption", {}, percent(contribution[number])));
    })),
  );
  roving(bars);
}

byId("examples").append(...examples.names.map((name, index) => show(element("button", {
  class: "tile", type: "button", "aria-label": name, title: name, "aria-pressed": false, onclick: () => chooseExample(index),
}), examples.rows.original, index)));
roving(byId("examples"));
byId("order").addEventListener("change", orderAtoms);
orderAtoms();
chooseExample(0);
