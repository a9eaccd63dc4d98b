"use strict";
// Charts of one estimator and quantity, as descriptions for Vega-Lite.

const WIDTH = 340, HEIGHT = 240;
// Okabe & Ito (2008): told apart by all kinds of colour vision.
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a600"];

/** Axis of radii: logarithmic where they span a factor of four. */
function radiusAxis(values) {
  const radii = values.filter((r) => r !== null), low = Math.min(...radii), high = Math.max(...radii);
  return { field: "r", type: "quantitative", title: "r [kpc]", scale: high > 4 * low ? { type: "log", nice: false, padding: 12 } : { zero: false, nice: false, padding: 12 }, axis: { tickCount: 6, format: "~g" } };
}

function colour(field, title, sort) {
  return { field, type: "nominal", title, sort, scale: { range: PALETTE }, legend: { orient: "bottom", columns: 3, labelLimit: 160 } };
}

/** Colours of bins: their radius, from dark to light. */
function binColour(rows) {
  const names = [...new Set(rows.map((row) => row.where))];
  return { field: "where", type: "nominal", title: null, sort: names, scale: { scheme: "viridis" }, legend: names.length > 1 && names.length <= 12 ? { orient: "bottom", columns: 3 } : null };
}

const level = (value, dash) => ({ data: { values: [{ value }] }, mark: { type: "rule", strokeDash: dash ?? [], opacity: 0.7 }, encoding: { y: { field: "value", type: "quantitative" } } });

/** Where rows have no radius they stand side by side. */
function place(rows) {
  return rows.every((row) => row.r !== null) ? radiusAxis(rows.map((row) => row.r)) : { field: "cell", type: "nominal", title: null, axis: { labelAngle: -30, labelLimit: 110 } };
}

function biasChart(rows, unit) {
  const values = rows.filter((row) => row.bias !== null), x = place(values), title = `bias${unit ? ` [${unit}]` : ""}`;
  const y = { field: "bias", type: "quantitative", title }, many = new Set(values.map((row) => row.cell)).size > 1;
  const tint = many ? { color: colour("cell", null) } : { color: { value: PALETTE[0] } };
  const ends = values.map((row) => ({ ...row, low1: row.bias - row.mcse, high1: row.bias + row.mcse, low2: row.bias - 2 * row.mcse, high2: row.bias + 2 * row.mcse }));
  const layer = [level(0)];
  if (x.field === "r" && values.length > 1) {
    layer.push({ mark: { type: "area", opacity: 0.2, line: false }, encoding: { x, y: { field: "low1", type: "quantitative", title }, y2: { field: "high1" }, ...tint } });
    layer.push({ mark: { type: "line", opacity: 0.8 }, encoding: { x, y, ...tint } });
  }
  layer.push({ mark: { type: "rule" }, encoding: { x, y: { field: "low2", type: "quantitative", title }, y2: { field: "high2" }, ...tint } });
  layer.push({
    mark: { type: "point", filled: true, cursor: "pointer" },
    encoding: { x, y, ...tint, size: { condition: { test: "datum.current", value: 140 }, value: 50 }, tooltip: tips(["cell", "where", "bias_text", "n"]) },
  });
  return { spec: { data: { values: ends }, layer }, title: "Bias against radius", alt: "Mean error with one (band) and two (bars) Monte Carlo standard errors; the line at 0 is the truth." };
}

const tips = (fields) => fields.map((field) => ({ field, type: "nominal", title: field.replace("_text", "").replace("where", "r") }));

function scatterChart(rows, unit, joined) {
  const values = rows.filter((row) => row.scatter !== null), x = place(values), title = `1 σ${unit ? ` [${unit}]` : ""}`;
  const long = values.flatMap((row) => [
    { ...row, what: "found (scatter)", size: row.scatter, low: row.scatter - row.scatter_mcse, high: row.scatter + row.scatter_mcse },
    ...(row.stated === null ? [] : [{ ...row, what: "stated", size: row.stated, low: row.stated, high: row.stated }]),
  ]);
  const tint = { color: colour("what", null, ["found (scatter)", "stated"]) }, y = { field: "size", type: "quantitative", title };
  const detail = { detail: { field: "cell" } };
  return {
    spec: { data: { values: long }, layer: [
      ...(x.field === "r" && joined ? [{ mark: "line", encoding: { x, y, ...tint, ...detail, strokeDash: { field: "what", type: "nominal", legend: null, scale: { domain: ["found (scatter)", "stated"], range: [[1, 0], [5, 4]] } } } }] : []),
      { mark: "rule", encoding: { x, y: { field: "low", type: "quantitative", title }, y2: { field: "high" }, ...tint } },
      { mark: { type: "point", filled: true, cursor: "pointer" }, encoding: { x, y, ...tint, tooltip: tips(["cell", "where", "what", "size"]) } },
    ] },
    title: "Scatter and stated error", alt: "Scatter of the errors over realisations beside the error that the method states: equal where error bars are honest.",
  };
}

function coverageChart(rows, curves) {
  const marks = rows.flatMap((row) => [68, 95].filter((stated) => row[`coverage${stated}`] !== null).map((stated) => ({
    where: row.where, cell: row.cell, bin: row.bin, row: row.row, current: row.current, nominal: stated / 100, covered: row[`coverage${stated}`], low: row[`coverage${stated}_lo`], high: row[`coverage${stated}_hi`],
  })));
  const lines = curves.flatMap(({ where, bin, shares }) => shares.map((covered, k) => ({ where, bin, covered, nominal: k / (shares.length - 1) })));
  if (!marks.length && !lines.length) return null;
  const x = { field: "nominal", type: "quantitative", title: "nominal", scale: { domain: [0, 1] } };
  const y = { field: "covered", type: "quantitative", title: "covered", scale: { domain: [0, 1] } }, tint = { color: binColour(rows) };
  return {
    spec: { layer: [
      { data: { values: [{ nominal: 0, covered: 0 }, { nominal: 1, covered: 1 }] }, mark: { type: "line", opacity: 0.7, strokeWidth: 1 }, encoding: { x, y } },
      { data: { values: lines }, mark: { type: "line", strokeWidth: 1, strokeDash: [3, 2], opacity: 0.7 }, encoding: { x, y, ...tint, detail: { field: "bin" } } },
      { data: { values: marks }, mark: "rule", encoding: { x, y: { field: "low", type: "quantitative", title: "covered" }, y2: { field: "high" }, ...tint } },
      { data: { values: marks }, mark: { type: "point", filled: true, cursor: "pointer" }, encoding: { x, y, ...tint, size: { condition: { test: "datum.current", value: 140 }, value: 50 }, tooltip: tips(["cell", "where", "nominal", "covered"]) } },
    ] },
    title: "Coverage", alt: "Share of intervals that contain the truth against the stated level, with limits of 95 per cent; below the diagonal intervals are too narrow.",
  };
}

function ranksChart(ranks, bands) {
  if (!ranks.length) return null;
  const steps = ranks[0].counts.length, z = (k) => k / steps;
  const lines = ranks.flatMap(({ where, bin, counts }) => {
    const n = counts.reduce((a, b) => a + b, 0);
    let sum = 0;
    return [{ where, bin, z: 0, off: 0 }, ...counts.map((count, k) => { sum += count; return { where, bin, z: z(k + 1), off: sum / n - z(k + 1) }; })];
  });
  const n = Math.min(...ranks.map(({ counts }) => counts.reduce((a, b) => a + b, 0))), [low, high] = bands[n];
  const band = low.map((end, k) => ({ z: z(k + 1), low: end - z(k + 1), high: high[k] - z(k + 1) }));
  const x = { field: "z", type: "quantitative", title: "place of the truth among the draws", scale: { domain: [0, 1] } }, title = "ECDF − uniform";
  return {
    spec: { layer: [
      { data: { values: band }, mark: { type: "area", opacity: 0.15, color: "#7f7f7f" }, encoding: { x, y: { field: "low", type: "quantitative", title }, y2: { field: "high" } } },
      { data: { values: lines }, mark: { type: "line", strokeWidth: 1.2, opacity: 0.7 }, encoding: { x, y: { field: "off", type: "quantitative", title }, color: binColour(lines), detail: { field: "bin" } } },
      level(0),
    ] },
    title: "Ranks of the truth", alt: "Distribution of the truth's place among the posterior draws, less a uniform one. A calibrated method stays in the band in 95 per cent of all runs; above it on the left and below on the right intervals are too narrow.",
  };
}

function cloudChart(marks, text, unit) {
  const values = marks.flatMap(({ where, r, value, truth, current }) => value.map((x, k) => ({ where, current, r: r[k], value: x, truth: truth[k] })));
  if (!values.length) return null;
  const flat = values.some((row) => row.r === null), title = `${text}${unit ? ` [${unit}]` : ""}`;
  const x = flat ? { field: "where", type: "nominal", title: null } : radiusAxis(values.map((row) => row.r));
  const scale = { zero: false }, format = { axis: { labelExpr: "abs(datum.value) < 1e5 ? format(datum.value, ',') : format(datum.value, '.2~e')" } };
  return {
    spec: { data: { values }, layer: [
      { mark: { type: "point", filled: true, size: 12, opacity: 0.5 }, encoding: { x, y: { field: "value", type: "quantitative", title, scale, ...format }, color: { value: PALETTE[0] } } },
      { mark: { type: "tick", orient: "horizontal", thickness: 2, size: 12 }, encoding: { x, y: { field: "truth", type: "quantitative", title, scale } } },
    ] },
    title: "Single estimates", alt: "Estimates of the first realisations against their radius; ticks are the truth of each.",
  };
}

/** Biases in the cells of a map: of the sky in Mollweide's projection, l growing to the left, or of a plane. */
function mapChart(rows, map, unit) {
  const size = map.outlines.length, shell = Math.floor((rows.find((row) => row.current) ?? rows[0]).bin / size);
  const values = rows.filter((row) => row.bias !== null && Math.floor(row.bin / size) === shell);
  if (!values.length) return null;
  const reach = Math.max(...values.map((row) => Math.abs(row.bias))), title = `bias${unit ? ` [${unit}]` : ""}`;
  const color = { field: "bias", type: "quantitative", title, scale: { scheme: "blueorange", domain: [-reach, reach] }, legend: { orient: "bottom", gradientLength: 200 } };
  const tooltip = tips(["cell", "where", "bias_text", "n"]), of = (row) => map.outlines[row.bin % size];
  const drawn = map.sky
    ? { data: { values: values.map((row) => ({ ...row, type: "Feature", geometry: { type: "Polygon", coordinates: [[...of(row), of(row)[0]]] } })) }, mark: { type: "geoshape", cursor: "pointer" }, encoding: { color, tooltip } }
    : { data: { values: values.map((row) => ({ ...row, x0: of(row)[0][0], x1: of(row)[1][0], y0: of(row)[0][1], y1: of(row)[1][1] })) }, mark: { type: "rect", cursor: "pointer" }, encoding: { x: { field: "x0", type: "quantitative", title: "X [kpc]" }, x2: { field: "x1" }, y: { field: "y0", type: "quantitative", title: `${map.kind[1].toUpperCase()} [kpc]` }, y2: { field: "y1" }, color, tooltip } };
  const frame = { data: { graticule: { step: [60, 30] } }, mark: { type: "geoshape", filled: false, strokeWidth: 0.4, stroke: "#888" } };
  return {
    spec: map.sky ? { projection: { type: "mollweide", reflectX: true }, layer: [drawn, frame] } : drawn,
    title: "Map", alt: `Bias in the cells of the map${map.sky ? ", in Galactic coordinates: l = 0 in the middle, growing to the left" : ` of the ${map.kind.toUpperCase()} plane`}.`,
  };
}

/** Colours of the page for a chart. */
function chartConfig() {
  const style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
  return {
    background: "transparent", font: "system-ui, sans-serif", view: { stroke: line, continuousWidth: WIDTH, continuousHeight: HEIGHT, discreteWidth: WIDTH },
    axis: { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink, gridColor: line, gridOpacity: 0.6, titleFontWeight: "normal" },
    legend: { labelColor: ink, titleColor: ink }, rule: { color: ink }, tick: { color: ink }, line: { color: ink },
  };
}
