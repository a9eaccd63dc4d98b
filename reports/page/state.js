"use strict";
// What is looked at, kept in the address, so that a link shows the same view.

/** Packed content of the page: base64, then gzip. */
async function unpack(id) {
  const letters = document.getElementById(id).textContent.trim();
  const bytes = Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

/** Element with attributes and children; text is always text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

class State {
  /** Keys with their numbers or text; every change is told to those who listen. */
  constructor(data) {
    this.data = data;
    this.listeners = [];
    this.read();
    window.addEventListener("hashchange", () => {
      const told = location.hash.slice(1);
      if (told !== this.hash() && !document.getElementById(told)) { this.read(); this.tell(); }
    });
  }

  read() {
    const told = new URLSearchParams(location.hash.slice(1));
    const number = (key, names) => { const k = names.indexOf(told.get(key)); return k < 0 ? null : k; };
    const { cells, estimators, quantities, levels, base } = this.data;
    this.cell = told.get("cell") === "all" ? null : number("cell", cells) ?? base;
    this.level = number("level", levels.map((level) => level.label));
    this.estimator = number("estimator", estimators);
    this.quantity = number("quantity", quantities.map((quantity) => quantity.name));
    this.bin = told.has("bin") && /^\d+$/.test(told.get("bin")) ? Number(told.get("bin")) : null;
    this.find = told.get("find") ?? "";
    this.theme = ["light", "dark"].includes(told.get("theme")) ? told.get("theme") : "";
    this.open = told.get("open") === "1" && this.estimator !== null && this.quantity !== null;
  }

  hash() {
    const { cells, estimators, quantities, levels, base } = this.data;
    const told = new URLSearchParams();
    if (this.cell === null) told.set("cell", "all");
    else if (this.cell !== base) told.set("cell", cells[this.cell]);
    if (this.level !== null) told.set("level", levels[this.level].label);
    if (this.estimator !== null) told.set("estimator", estimators[this.estimator]);
    if (this.quantity !== null) told.set("quantity", quantities[this.quantity].name);
    if (this.bin !== null) told.set("bin", this.bin);
    if (this.find) told.set("find", this.find);
    if (this.theme) told.set("theme", this.theme);
    if (this.open) told.set("open", "1");
    return told.toString();
  }

  /** Change some of what is looked at. */
  set(changes) {
    Object.assign(this, changes);
    const hash = this.hash();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    this.tell();
  }

  listen(listener) { this.listeners.push(listener); }
  tell() { for (const listener of this.listeners) listener(this); }

  /** Whether a cell is chosen: itself, or by the level of a factor. */
  hasCell(cell) {
    if (this.level !== null) return this.data.levels[this.level].cells.includes(cell);
    return this.cell === null || this.cell === cell;
  }

  /** Whether row `k` of numbers by column is chosen by cell, estimator, quantity and, unless any will do, bin. */
  has(columns, k, anyBin = false) {
    return this.hasCell(columns.cell[k])
      && (this.estimator === null || this.estimator === columns.estimator[k])
      && (this.quantity === null || this.quantity === columns.quantity[k])
      && (anyBin || this.bin === null || !columns.bin || this.bin === columns.bin[k]);
  }
}
