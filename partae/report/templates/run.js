const { atoms, examples, operator } = data;
const LARGEST = 12; // atoms that an image is shown to be made of
document.documentElement.style.setProperty("--ratio", data.shape[1] / data.shape[0]);
byId("atoms-note").textContent = atoms.number.length === atoms.total
  ? `${atoms.total} atoms.` : `The ${atoms.number.length} of ${atoms.total} atoms that add most to the images.`;

function press(group, chosen) {
  for (const button of byId(group).children) button.setAttribute("aria-pressed", button === chosen);
}

function atomButton(number, attributes) {
  const label = { "data-atom": number, "aria-label": `Atom ${number}` };
  return tile("button", atoms.sheet, atoms.number.indexOf(number), { ...label, ...attributes });
}

function chooseAtom(number) {
  const index = atoms.number.indexOf(number);
  press("atoms", byId("atoms").querySelector(`[data-atom="${number}"]`));
  byId("atom").replaceChildren(
    html("h3", {}, `Atom ${number}`),
    html("div", { class: "row" },
      captioned(tile("div", atoms.sheet, index), "the atom"),
      captioned(tile("div", atoms.operated, index), `its ${operator}`)),
    definitions([
      ["share in the images", percent(atoms.share[index])],
      ["used by", `${percent(atoms.usage[index])} of the images`],
      ["mean activation", digits(atoms.mean[index])],
      ["sparsity", digits(atoms.sparsity[index])],
    ]),
    html("small", {}, "The images that use it most, with its entry of their code"),
    html("div", { class: "few" }, ...atoms.strongest[index].map((image, rank) =>
      captioned(tile("div", atoms.images, image), digits(atoms.strength[index][rank])))),
  );
}

function orderAtoms() {
  const key = byId("order").value, sign = key === "number" ? 1 : -1;
  const order = [...atoms.number.keys()].sort((one, other) => sign * (atoms[key][one] - atoms[key][other]));
  byId("atoms").replaceChildren(...order.map((index) => atomButton(atoms.number[index])));
  chooseAtom(atoms.number[order[0]]);
}

function chooseExample(index) {
  press("examples", byId("examples").children[index]);
  const code = examples.code[index], contribution = examples.contribution[index];
  const largest = Math.max(...code.map(Math.abs));
  const bars = code.map((entry, number) => {
    const label = `Atom ${number}: ${digits(entry)}`;
    const bar = html("button", { title: label, "aria-label": label, "data-atom": number });
    bar.style.setProperty("--height", `${(100 * Math.abs(entry)) / (largest || 1)}%`);
    return bar;
  });
  const strongest = atoms.number.filter((number) => contribution[number] > 0)
    .sort((one, other) => contribution[other] - contribution[one]).slice(0, LARGEST);
  byId("example").replaceChildren(
    html("h3", {}, examples.names[index]),
    html("div", { class: "row" }, ...Object.entries(examples.rows).map(([name, sheet]) =>
      captioned(tile("div", sheet, index), name))),
    html("div", { class: "bars", role: "group", "aria-label": "Code" }, ...bars),
    html("small", {}, `The ${code.length} entries of its code, the largest ${digits(largest)}`),
    html("h3", {}, "Its strongest atoms"),
    html("small", {}, "The share of each in the sum"),
    html("div", { class: "few" }, ...strongest.map((number) => captioned(
      atomButton(number, { title: `atom ${number}, weighted by ${digits(code[number])}` }),
      percent(contribution[number])))),
  );
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button?.dataset.image) chooseExample(Number(button.dataset.image));
  const inGrid = button?.dataset.atom && byId("atoms").querySelector(`[data-atom="${button.dataset.atom}"]`);
  if (!inGrid) return;
  chooseAtom(Number(button.dataset.atom));
  inGrid.focus();
  byId("atom").scrollIntoView({ block: "nearest" });
});
byId("examples").append(...examples.names.map((name, index) =>
  tile("button", examples.rows.original, index, { "data-image": index, "aria-label": name, title: name })));
byId("order").addEventListener("change", orderAtoms);
orderAtoms();
chooseExample(0);
