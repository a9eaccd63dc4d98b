"use strict";
// Puts the parts together once the numbers are unpacked.

function choices(state) {
  const { cells, levels, estimators, quantities, scores } = state.data;
  const select = (label, key, options, none) => {
    const field = make("select", { id: `choose-${key}`, onchange: () => {
      const value = field.value === "" ? null : Number(field.value);
      state.set({ [key]: value, ...(key === "cell" ? { level: null } : {}), ...(["estimator", "quantity"].includes(key) && value === null ? { open: false } : {}) });
    } }, ...(none ? [make("option", { value: "" }, none)] : []), ...options.map(([value, text]) => make("option", { value }, text)));
    state.listen(() => { field.value = state[key] ?? ""; });
    return make("label", {}, make("span", {}, label), field);
  };
  const named = (names) => names.map((name, k) => [k, name]);
  const fields = [];
  if (cells.length > 1) fields.push(select("cell", "cell", named(cells), "all: the worst"));
  if (levels.length) fields.push(select("level of a factor", "level", named(levels.map((level) => level.label)), "any"));
  fields.push(select("estimator", "estimator", named(estimators), "all"), select("quantity", "quantity", quantities.map((quantity, k) => [k, quantity.text]), "all"));
  const radii = make("select", { id: "choose-bin", onchange: () => state.set({ bin: radii.value === "" ? null : Number(radii.value) }) });
  state.listen(() => {
    const found = new Map();
    for (let k = 0; k < scores.cell.length; k++) if (state.has(scores, k, true) && !found.has(scores.bin[k])) found.set(scores.bin[k], radius(scores.r[k]) || "–");
    const options = [...found].sort((a, b) => a[0] - b[0]).map(([bin, r]) => make("option", { value: bin }, state.estimator === null ? `bin ${bin}` : r));
    radii.replaceChildren(make("option", { value: "" }, "all"), ...options);
    radii.value = state.bin ?? "";
  });
  fields.push(make("label", {}, make("span", {}, "radius [kpc]"), radii));
  const find = make("input", { type: "search", id: "choose-find", placeholder: "words in a row", oninput: () => state.set({ find: find.value }) });
  state.listen(() => { if (document.activeElement !== find) find.value = state.find; });
  fields.push(make("label", {}, make("span", {}, "find in tables"), find));
  fields.push(make("button", { type: "button", onclick: () => state.set({ cell: state.data.base, level: null, estimator: null, quantity: null, bin: null, find: "", open: false }) }, "reset"));
  const dark = () => (state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  fields.push(make("button", { type: "button", id: "theme", onclick: () => state.set({ theme: dark() ? "light" : "dark" }) }, "light / dark"));
  return fields;
}

async function start() {
  const data = JSON.parse(await unpack("data")), state = new State(data);
  state.listen(() => { if (state.theme) document.documentElement.dataset.theme = state.theme; else delete document.documentElement.dataset.theme; });
  if (data.scores.cell.length) {
    document.getElementById("choices").replaceChildren(...choices(state));
    new BiasMap(document.getElementById("map"), state);
    new Detail(document.getElementById("detail"), state);
    new DataTable(document.getElementById("scores-table"), state, { ...data.scores, ...data.text }, "scores");
    for (const name of ["pairs", "calibration"]) {
      if (data[name]?.cell.length) new DataTable(document.getElementById(`${name}-table`), state, data[name], name);
    }
  }
  document.body.addEventListener("click", (event) => {
    const part = event.target.closest("nav a"), line = event.target.closest("[data-estimator]");
    if (!part && !line) return;
    event.preventDefault(); // the address holds the view
    if (part) return document.querySelector(part.getAttribute("href")).scrollIntoView();
    state.set({ estimator: Number(line.dataset.estimator), quantity: Number(line.dataset.quantity), cell: Number(line.dataset.cell), level: null, bin: null, open: true });
    document.getElementById("detail").scrollIntoView({ block: "start" });
  });
  const part = document.getElementById(location.hash.slice(1));
  state.tell();
  part?.scrollIntoView(); // which the tables have moved
  document.documentElement.dataset.ready = "1";
}

start().catch((error) => {
  document.getElementById("map").textContent = `The numbers cannot be shown by this browser (${error.message}); the files in tables/ hold all.`;
});
