/** What one number of a layer is made of, as a sentence that adds up and a picture of its parts. */
import { mapsOf, sourceOf, termsOf } from "softclass/layer_terms";
import { bars, heatMap, label, linear } from "softclass/plots";
import { reach } from "softclass/raster";

const TERMS = 10; // of a sum with many

/** The maps whose numbers a layer reads, also where they were put into one row before. */
const originOf = (run, index) => sourceOf(run, run.layers[index - 1]?.kind === "flatten" ? index - 1 : index);

const signedText = (place, value) => `${value < 0 ? "− " : "+ "}${place.number(Math.abs(value), 4)}`;

/**
 * The sentence and the picture of one number.
 * @param {object} model answer of the source
 * @param {object} run of network_run.js
 * @param {number} index layer
 * @param {number} map channel or unit
 * @param {number[]} at [row, column]
 * @param {{p: number[], z: Float64Array, T: number}} classes
 * @returns {{sentence: string, picture: ?object}} picture: what figure.show takes
 */
export function describe(place, model, run, index, map, at, { p, z, T }) {
  const { t, number } = place;
  const terms = termsOf(run, index, map, at);
  const value = number(terms.value, 4);
  if (terms.kind === "softmax") {
    const total = z.reduce((sum, score) => sum + Math.exp((score - Math.max(...z)) / T), 0);
    const values = {
      name: model.classes[map], z: number(z[map], 4), T: number(T, 3), total: number(total, 6), p: number(p[map], 6),
      largest: number(Math.max(...z), 4),
    };
    return { sentence: t("digit.sum.softmax", values), picture: null };
  }
  if (terms.products) return convolutionSum(place, terms);
  if (terms.patch) {
    const source = sourceOf(run, index);
    const numbers = terms.patch
      .flat()
      .map((part) => number(part, 4))
      .join(", ");
    return { sentence: t(`digit.sum.${terms.kind}`, { value, numbers }), picture: windowPicture(place, terms, source) };
  }
  if (terms.terms) return denseSum(place, terms, originOf(run, index));
  if (terms.from)
    return {
      sentence: t("digit.sum.flatten", {
        value, at: map, map: terms.from[0], row: terms.from[1], column: terms.from[2],
      }),
      picture: null,
    };
  if (terms.input !== undefined)
    return { sentence: t(`digit.sum.${terms.kind}`, { value, input: number(terms.input, 4) }), picture: null };
  return { sentence: t(terms.kind === "opaque" ? "digit.sum.opaque" : "digit.sum.unknown", { value }), picture: null };
}

function windowPicture(place, { patch, value }, source) {
  const cell = 64;
  const numbers = patch.flat();
  return {
    summary: place.t("digit.window", {
      numbers: numbers.map((part) => place.number(part, 4)).join(", "),
      value: place.number(value, 4),
    }),
    columns: [place.t("digit.row"), ...patch[0].map((_, i) => String(i))],
    rows: patch.map((row, i) => [String(i), ...row]),
    height: patch.length * cell + 8,
    marks: () => [
      heatMap({
        values: patch, left: 2, top: 4, cell, largest: reach(source.data) || 1, text: (part) => place.number(part, 2),
      }),
    ],
  };
}

/** Patch times kernel gives products, whose sum and the bias give the number. */
function convolutionSum(place, { value, bias, channel, patch, kernel, products, sums, corner }) {
  const { t, number } = place;
  const sum = sums.reduce((total, part) => total + part, 0);
  const count = products.length * products[0].length * sums.length;
  const sentence = t("digit.sum.conv", {
    value: number(value, 4), sum: number(sum, 4), bias: signedText(place, bias), count,
  });
  const more =
    sums.length > 1
      ? ` ${t("digit.sum.channels", { channels: sums.length, channel, part: number(sums[channel], 4) })}`
      : "";
  const grids = [patch.map((row) => row.map((part) => part ?? 0)), kernel, products];
  const titles = ["patch", "kernel", "products"].map((part) => t(`digit.conv.${part}`));
  const [tall, wide] = [kernel.length, kernel[0].length];
  const rows = patch.flatMap((row, y) =>
    row.map((part, x) => [
      `${corner[0] + y}, ${corner[1] + x}`, part ?? t("digit.outside"), kernel[y][x], products[y][x],
    ]),
  );
  const isNarrow = (width) => width < 560;
  const cellOf = (width) => Math.min(58, Math.floor((isNarrow(width) ? width - 4 : (width - 92) / 3) / wide));
  return {
    sentence: sentence + more,
    picture: {
      summary: sentence,
      columns: [t("digit.conv.place"), ...titles],
      rows,
      height: (width) => (isNarrow(width) ? 3 * (tall * cellOf(width) + 36) : tall * cellOf(width) + 34),
      marks(width) {
        const cell = cellOf(width);
        return grids.flatMap((values, i) => {
          const step = isNarrow(width) ? [0, i * (tall * cell + 36)] : [i * (wide * cell + 44), 0];
          const digits = cell >= 50 ? 3 : cell >= 40 ? 2 : 1;
          const text =
            cell >= 34 ? (part) => number(Math.abs(part) < 0.5 * 10 ** -digits ? 0 : part, digits, true) : null;
          const nodes = [
            label(titles[i], step[0] + 2, step[1] + 15, { style: "muted" }),
            heatMap({ values, left: step[0] + 2, top: step[1] + 24, cell, text }),
          ];
          if (i < 2 && !isNarrow(width))
            nodes.push(
              label(i === 0 ? "×" : "=", step[0] + wide * cell + 23, 24 + (tall * cell) / 2 + 4, {
                anchor: "middle",
                style: "strong",
              }),
            );
          return nodes;
        });
      },
    },
  };
}

/** The largest terms of a long sum as bars, the others together. */
function denseSum(place, { value, bias, terms }, source) {
  const { t, number } = place;
  const { height, width } = mapsOf(source);
  const first = terms.slice(0, TERMS);
  const rest = terms.slice(TERMS).reduce((total, { product }) => total + product, 0);
  const inputName = (at) =>
    height * width > 1
      ? `${Math.floor(at / (height * width))}: ${Math.floor(at / width) % height}, ${at % width}`
      : String(at);
  const items = first.map(({ at, product }) => ({ name: inputName(at), value: product }));
  if (terms.length > TERMS)
    items.push({ name: t("digit.dense.rest", { count: place.integer(terms.length - TERMS) }), value: rest });
  items.push({ name: t("digit.dense.bias"), value: bias });
  const limit = Math.max(...items.map((item) => Math.abs(item.value)), Number.MIN_VALUE);
  const sum = terms.reduce((total, { product }) => total + product, 0);
  const sentence = t("digit.sum.dense", {
    value: number(value, 4), sum: number(sum, 4), bias: signedText(place, bias), count: place.integer(terms.length),
  });
  return {
    sentence,
    picture: {
      summary: sentence,
      columns: [t("digit.dense.input"), t("digit.dense.value"), t("digit.dense.weight"), t("digit.dense.product")],
      rows: [
        ...first.map(({ at, input, weight, product }) => [inputName(at), input, weight, product]),
        ...(terms.length > TERMS
          ? [[t("digit.dense.rest", { count: place.integer(terms.length - TERMS) }), "", "", rest]]
          : []),
        [t("digit.dense.bias"), "", "", bias],
      ],
      height: items.length * 28 + 26,
      marks(width_) {
        const x = linear([-limit, limit], [Math.min(170, 0.4 * width_), width_ - 70]);
        const styled = items.map((item) => ({ ...item, style: item.value < 0 ? 1 : 0, text: undefined }));
        const texts = items.map((item, i) =>
          label(number(item.value, 3), width_ - 2, 22 + i * 28 + 18, { anchor: "end" }),
        );
        return [
          label(t("digit.dense.title"), 2, 14, { style: "muted" }),
          bars(styled, { x, top: 22, pitch: 28, names: 2 }),
          ...texts,
        ];
      },
    },
  };
}
