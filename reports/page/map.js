"use strict";
// The map: a number for each estimator, quantity and radius, coloured by what it means.

const PLUS = (x) => (x > 0 ? "+" : x < 0 ? "−" : "");

/** A bias in few letters. */
function short(x) {
  if (x === null) return "–";
  const size = Math.abs(x);
  const text = size >= 1000 ? size.toExponential(0) : size >= 10 ? size.toFixed(0) : size >= 1 ? size.toFixed(1) : size.toFixed(2);
  return (Number(text) === 0 ? "" : PLUS(x)) + text.replace("e+", "e");
}

function radius(r) { return r === null ? "" : String(Number(r.toPrecision(3))); }

/** How large a bias is, in steps of what matters: 0 (below a fifth of it) to 5 (ten times). */
function step(size) {
  const edges = [0.2, 0.4, 1, 2, 4];
  return edges.filter((edge) => size >= edge).length;
}

class BiasMap {
  constructor(place, state) {
    this.place = place;
    this.state = state;
    place.addEventListener("keydown", (event) => this.move(event));
    state.listen(() => this.draw());
  }

  /** Rows to show: those chosen (all, where one is open), of several cells the one that is farthest off. */
  rows() {
    const { scores } = this.state.data, { open } = this.state, worst = new Map();
    for (let k = 0; k < scores.cell.length; k++) {
      if (!(open ? this.state.hasCell(scores.cell[k]) : this.state.has(scores, k))) continue;
      const key = `${scores.quantity[k]} ${scores.estimator[k]} ${scores.bin[k]}`, before = worst.get(key);
      if (before === undefined || Math.abs(scores.bias[k] ?? 0) > Math.abs(scores.bias[before] ?? 0)) worst.set(key, k);
    }
    return [...worst.values()].sort((a, b) => scores.quantity[a] - scores.quantity[b] || scores.estimator[a] - scores.estimator[b] || scores.bin[a] - scores.bin[b]);
  }

  draw() {
    const { scores, quantities, estimators } = this.state.data, focused = document.activeElement?.dataset?.row;
    const blocks = [];
    let quantity = null, estimator = null, block, cells;
    for (const k of this.rows()) {
      if (scores.quantity[k] !== quantity) {
        quantity = scores.quantity[k]; estimator = null;
        const { text, unit } = quantities[quantity];
        block = make("div", { class: "quantity", role: "group", "aria-label": text }, make("h3", {}, text, make("span", { class: "note" }, unit ? ` bias [${unit}]` : " bias")));
        blocks.push(block);
      }
      if (scores.estimator[k] !== estimator) {
        estimator = scores.estimator[k];
        cells = make("div", { class: "cells" });
        block.append(make("div", { class: "line" }, make("span", { class: "who" }, estimators[estimator]), cells));
      }
      cells.append(this.cell(k));
    }
    this.place.replaceChildren(...(blocks.length ? blocks : [make("p", {}, "Nothing is chosen.")]));
    const all = this.place.querySelectorAll("button");
    if (all.length) all[0].tabIndex = 0;
    if (focused !== undefined) this.place.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
  }

  cell(k) {
    const { scores, quantities, estimators, cells, enough } = this.state.data, bias = scores.bias[k], size = scores.size[k];
    const quantity = quantities[scores.quantity[k]], known = bias !== null && scores.n[k] >= enough && size !== null;
    const classes = ["bias"];
    if (!known) classes.push("unknown");
    else classes.push(`${bias < 0 ? "low" : "high"}${step(size)}`);
    if (known && !scores.sure[k]) classes.push("unsure");
    if (scores.lossy[k]) classes.push("lossy");
    const { estimator, quantity: chosen, bin, open } = this.state;
    const current = open && estimator === scores.estimator[k] && chosen === scores.quantity[k] && bin === scores.bin[k];
    const where = scores.r[k] === null ? "" : ` at ${radius(scores.r[k])} kpc`;
    const words = bias === null ? "no bias" : `bias ${short(bias)} ± ${short(scores.bias_mcse[k]).replace("+", "")} ${quantity.unit}`;
    const label = `${estimators[scores.estimator[k]]}, ${quantity.text}${where}, cell ${cells[scores.cell[k]]}: ${words}`
      + (!known ? ", cannot be determined" : scores.sure[k] ? ", significant" : ", not significant")
      + (scores.lossy[k] ? `, only ${(100 * scores.success[k]).toFixed(0)} per cent of the attempts gave a value` : "");
    return make("button", {
      class: classes.join(" "), "data-row": k, tabindex: -1, title: label, "aria-label": label, "aria-pressed": current ? "true" : "false",
      onclick: () => this.state.set({ estimator: scores.estimator[k], quantity: scores.quantity[k], bin: scores.bin[k], cell: this.state.level === null && this.state.cell === null ? scores.cell[k] : this.state.cell, open: true }),
    }, make("span", { class: "r" }, radius(scores.r[k]) || "·"), make("b", {}, short(bias)), scores.lossy[k] ? make("span", { class: "flag" }, "!") : "");
  }

  /** Arrows go from cell to cell, of which one alone is a stop of the tab key. */
  move(event) {
    const keys = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, Home: 0, End: 0 };
    if (!(event.key in keys) || event.target.dataset.row === undefined) return;
    event.preventDefault();
    const all = [...this.place.querySelectorAll("button")], lines = [...this.place.querySelectorAll(".cells")];
    const line = event.target.parentElement, column = [...line.children].indexOf(event.target);
    let next = all[all.indexOf(event.target) + keys[event.key]];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const other = lines[lines.indexOf(line) + keys[event.key]];
      next = other && other.children[Math.min(column, other.children.length - 1)];
    }
    if (event.key === "Home") next = line.firstElementChild;
    if (event.key === "End") next = line.lastElementChild;
    if (!next) return;
    for (const button of all) button.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
