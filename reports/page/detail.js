"use strict";
// One estimator and quantity: what the verdict says, five charts, and how to have them as files.

class Detail {
  constructor(place, state) {
    Object.assign(this, { place, state, shown: "" });
    state.listen(() => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.shown = ""; this.draw(); });
  }

  /** The library, loaded when the first chart is asked for. */
  static library() {
    Detail.loading ??= unpack("vega").then((script) => new Promise((done, failed) => {
      const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
      document.head.append(make("script", { src: address, onload: () => { URL.revokeObjectURL(address); done(window.vegaEmbed); }, onerror: failed }));
    }));
    return Detail.loading;
  }

  async draw() {
    const { state } = this, { data, estimator, quantity, open } = state;
    this.place.hidden = !open;
    const asked = open ? [estimator, quantity, state.cell, state.level, state.bin, state.theme].join(" ") : "";
    if (asked === this.shown) return;
    this.shown = asked;
    if (!open) return;
    const told = data.quantities[quantity], rows = this.rows();
    const cell = this.cell(rows), here = rows.filter((row) => row.cellNumber === cell);
    const sentence = data.verdicts.find(([c, e, q]) => c === cell && e === estimator && q === quantity);
    const made = data.of_maps.includes(told.name) && data.mapped.find(([c, e]) => c === cell && e === estimator);
    const charts = [
      made ? mapChart(here, data.maps[made[2]], told.unit) : biasChart(rows, told.unit), scatterChart(here, told.unit, !made), coverageChart(here, this.kept("curves", cell).map(({ where, row }) => ({ where, bin: row[3], shares: row[4] }))),
      ranksChart(this.kept("ranks", cell).map(({ where, row }) => ({ where, bin: row[3], counts: row[4] })), data.bands),
      cloudChart(this.kept("marks", cell).map(({ where, row }) => ({ where, r: row[4], value: row[5], truth: row[6] })), told.text, told.value_unit),
    ].filter(Boolean);
    const figures = charts.map((chart) => ({ ...chart, place: make("div", { class: "chart", role: "img", "aria-label": `${chart.title}. ${chart.alt}` }) }));
    this.place.replaceChildren(
      make("h2", { tabindex: -1 }, `${data.estimators[estimator]}: ${told.text}`),
      make("p", { class: "note" }, `Cell ${data.cells[cell]}.`),
      make("p", {}, sentence ? sentence[4] : ""),
      make("div", { class: "charts" }, ...figures.map((figure) => this.figure(figure))),
      ...(this.lacking(cell) ? [make("p", { class: "note" }, "Single estimates, ranks and curves of this cell are not on the page: haloassay figure draws them.")] : []),
      make("p", {}, make("button", { type: "button", onclick: () => state.set({ open: false, estimator: null, quantity: null, bin: null }) }, "Close")),
    );
    const embed = await Detail.library();
    for (const figure of figures) {
      if (asked !== this.shown) return;
      const spec = { width: "container", height: HEIGHT, autosize: { type: "fit-x", contains: "padding" }, description: figure.alt, ...figure.spec };
      const { view } = await embed(figure.place, spec, { actions: false, renderer: "svg", config: chartConfig() });
      view.addEventListener("click", (event, item) => { if (item?.datum?.bin !== undefined) state.set({ bin: item.datum.bin, cell: state.cell === null ? null : item.datum.cellNumber ?? state.cell }); });
      figure.view = view;
    }
  }

  /** Numbers of the chosen cells for charts. */
  rows() {
    const { state } = this, { scores, cells, quantities } = state.data, rows = [];
    const { unit } = quantities[state.quantity];
    for (let k = 0; k < scores.cell.length; k++) {
      if (!state.has(scores, k, true)) continue;
      const row = { row: k, cell: cells[scores.cell[k]], cellNumber: scores.cell[k], bin: scores.bin[k], current: scores.bin[k] === state.bin, where: this.where(k), mcse: scores.bias_mcse[k] };
      for (const name of ["r", "n", "bias", "scatter", "scatter_mcse", "stated", "coverage68", "coverage68_lo", "coverage68_hi", "coverage95", "coverage95_lo", "coverage95_hi"]) row[name] = scores[name][k];
      row.bias_text = `${short(row.bias)} ± ${short(row.mcse).replace("+", "")} ${unit}`;
      rows.push(row);
    }
    const few = [...new Set(rows.map((row) => row.cellNumber))].slice(0, PALETTE.length);
    return rows.filter((row) => few.includes(row.cellNumber));
  }

  where(k) { const r = this.state.data.scores.r[k]; return r === null ? "all" : `${radius(r)} kpc`; }

  /** The one cell of charts that show one: the base, where several are chosen. */
  cell(rows) {
    const chosen = rows.map((row) => row.cellNumber);
    return chosen.includes(this.state.data.base) ? this.state.data.base : chosen[0] ?? this.state.data.base;
  }

  kept(name, cell) {
    const { data, estimator, quantity } = this.state, { scores } = data;
    return data[name].filter(([c, e, q]) => c === cell && e === estimator && q === quantity).map((row) => {
      const k = scores.cell.findIndex((c, j) => c === cell && scores.estimator[j] === estimator && scores.quantity[j] === quantity && scores.bin[j] === row[3]);
      return { where: k < 0 ? String(row[3]) : this.where(k), row };
    });
  }

  lacking(cell) { return !this.state.data.detailed.includes(cell); }

  figure(figure) {
    const { data, estimator, quantity } = this.state;
    const name = `${figure.title} ${data.estimators[estimator]} ${data.quantities[quantity].name}`.toLowerCase().replace(/[^a-z0-9_-]+/g, "-");
    const button = (text, press) => make("button", { type: "button", class: "mini", onclick: press, "aria-label": `${figure.title}: save as ${text}` }, text);
    const element = make("figure", {}, make("figcaption", {}, make("b", {}, figure.title), make("span", { class: "note" }, ` ${figure.alt}`)), figure.place, make("div", { class: "tools" },
      button("SVG", async () => save(`${name}.svg`, "image/svg+xml", await figure.view.toSVG())),
      button("PNG", async () => save(`${name}.png`, "image/png", await (await fetch(await figure.view.toImageURL("png", 3))).blob())),
      button("PDF", () => { element.classList.add("alone"); document.body.classList.add("one"); window.print(); element.classList.remove("alone"); document.body.classList.remove("one"); }),
    ));
    return element;
  }
}
