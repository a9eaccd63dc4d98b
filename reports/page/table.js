"use strict";
// Tables that are searched, sorted and read by pages, and saved as CSV and LaTeX.

/** Rows of a page: of a phone, on which each is a card, fewer. */
const PAGE = matchMedia("(max-width: 44rem)").matches ? 6 : 20;
const TEX = { "±": "$\\pm$", "σ": "$\\sigma$", "β": "$\\beta$", "κ": "$\\kappa$", "θ": "$\\theta$", "φ": "$\\phi$", "Δ": "$\\Delta$", "⟨": "$\\langle$", "⟩": "$\\rangle$", "₂₀₀": "$_{200}$", "–": "--", "−": "$-$", "<": "$<$", ">": "$>$" };

function tex(text) {
  const plain = text.replace(/[\\{}&%$#_^~]/g, (mark) => ({ "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}" })[mark] ?? `\\${mark}`);
  return plain.replace(/₂₀₀|[±σβκθφΔ⟨⟩–−<>]/g, (mark) => TEX[mark]);
}

const NUMBER = /^[+-]?[\d.]+(e[+-]?\d+)?( ± [\d.]+(e[+-]?\d+)?)?( [%\w/]+)?$/;

/** A field that no spreadsheet computes: a number, with its error and unit, or text. */
function csv(text) {
  const safe = /^[=+\-@\t\r]/.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(name, type, content) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** The number that a cell begins with; one of no number is the last in any order. */
function numberOf(text) {
  const x = parseFloat(text.replace(/^[<~] ?/, "").replace("−", "-"));
  return Number.isNaN(x) ? null : x;
}

class DataTable {
  /** `source`: columns of codes and `columns`, `values` of text; `name`: of saved files. */
  constructor(place, state, source, name) {
    Object.assign(this, { place, state, source, name, page: 0, sorted: null, up: true });
    const { cells, estimators, quantities } = state.data;
    this.head = ["cell", "estimator", "quantity", "r [kpc]", ...source.columns];
    this.value = [
      (k) => cells[source.cell[k]], (k) => estimators[source.estimator[k]], (k) => quantities[source.quantity[k]].text,
      (k) => radius(source.r[k]) || "–", ...source.values.map((column) => (k) => column[k]),
    ];
    this.build();
    state.listen(() => { this.page = 0; this.draw(); });
  }

  build() {
    const button = (text, press, more = {}) => make("button", { type: "button", onclick: press, ...more }, text);
    this.count = make("span", { class: "note", role: "status" });
    this.back = button("‹ before", () => this.turn(-1), { "aria-label": `${this.name}: page before` });
    this.next = button("next ›", () => this.turn(1), { "aria-label": `${this.name}: next page` });
    this.heads = this.head.map((name, k) => make("th", { scope: "col", "aria-sort": "none", class: k < 3 ? "text" : "" }, button(name, () => this.sort(k))));
    this.body = make("tbody");
    this.place.replaceChildren(
      make("div", { class: "tools" }, this.count, this.back, this.next, button("CSV", () => this.save("csv")), button("LaTeX", () => this.save("tex"))),
      make("div", { class: "scroll" }, make("table", { class: "data" }, make("thead", {}, make("tr", {}, ...this.heads)), this.body)),
    );
  }

  /** Numbers of the rows that are chosen and hold all words that are looked for. */
  rows() {
    const words = this.state.find.toLowerCase().split(/\s+/).filter(Boolean), found = [];
    for (let k = 0; k < this.source.cell.length; k++) {
      if (!this.state.has(this.source, k)) continue;
      if (words.length) {
        const text = this.value.map((value) => value(k)).join(" ").toLowerCase();
        if (!words.every((word) => text.includes(word))) continue;
      }
      found.push(k);
    }
    if (this.sorted === null) return found;
    const value = this.value[this.sorted], sign = this.up ? 1 : -1;
    const keyed = found.map((k) => [k, numberOf(value(k)), value(k)]);
    keyed.sort((a, b) => {
      if (a[1] === null || b[1] === null) return a[1] === b[1] ? sign * a[2].localeCompare(b[2]) : a[1] === null ? 1 : -1;
      return sign * (a[1] - b[1]) || a[0] - b[0];
    });
    return keyed.map(([k]) => k);
  }

  draw() {
    const rows = this.rows(), pages = Math.max(1, Math.ceil(rows.length / PAGE)), first = this.page * PAGE;
    const { estimator, quantity, bin, open } = this.state, { source } = this;
    this.count.textContent = rows.length > PAGE ? `${first + 1} to ${Math.min(first + PAGE, rows.length)} of ${rows.length} rows` : `${rows.length} rows`;
    this.back.hidden = this.next.hidden = pages === 1;
    this.back.disabled = this.page === 0;
    this.next.disabled = this.page === pages - 1;
    this.heads.forEach((head, k) => head.setAttribute("aria-sort", this.sorted !== k ? "none" : this.up ? "ascending" : "descending"));
    this.body.replaceChildren(...rows.slice(first, first + PAGE).map((k) => {
      const current = open && source.estimator[k] === estimator && source.quantity[k] === quantity && source.bin?.[k] === bin;
      const cells = this.value.map((value, column) => make("td", { class: column < 3 ? "text" : "", "data-name": this.head[column] }, value(k)));
      cells[1].replaceChildren(make("button", { class: "link", type: "button", onclick: () => this.show(k) }, this.value[1](k)));
      return make("tr", { class: current ? "current" : "" }, ...cells);
    }));
  }

  show(k) {
    const { source } = this;
    this.state.set({ estimator: source.estimator[k], quantity: source.quantity[k], cell: source.cell[k], level: null, bin: source.bin?.[k] ?? null, open: true });
    document.getElementById("detail").scrollIntoView({ block: "start" });
  }

  turn(pages) { this.page += pages; this.draw(); }

  sort(column) {
    this.up = this.sorted === column ? !this.up : true;
    this.sorted = column;
    this.page = 0;
    this.draw();
  }

  save(kind) {
    const rows = this.rows().map((k) => this.value.map((value) => value(k)));
    if (kind === "csv") return save(`${this.name}.csv`, "text/csv", [this.head, ...rows].map((row) => row.map(csv).join(",")).join("\r\n") + "\r\n");
    const line = (row) => `${row.map(tex).join(" & ")} \\\\`;
    const text = ["% needs \\usepackage{booktabs}", `\\begin{tabular}{lll${"r".repeat(this.head.length - 3)}}`, "\\toprule", line(this.head), "\\midrule", ...rows.map(line), "\\bottomrule", "\\end{tabular}", ""].join("\n");
    return save(`${this.name}.tex`, "application/x-tex", text);
  }
}
