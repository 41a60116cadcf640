/**
 * The arithmetic of one number in a network: what it is computed from, taken apart so that a reader can add it up.
 *
 * Layouts are those of network.js. A `run` is `{layers, arrays, input, outputs}`: the layers of the model, its weights
 * (null where they are not known), and `{shape, data}` of the input and of every layer's output.
 */
import { four, pair } from "softclass/network";

/** What goes into layer number `index`. */
export const sourceOf = (run, index) => (index === 0 ? run.input : run.outputs[index - 1]);

/** How many maps, and rows and columns of each; a vector has maps of one place. */
export function mapsOf({ shape }) {
  return shape.length === 3
    ? { count: shape[0], height: shape[1], width: shape[2] }
    : { count: shape[0], height: 1, width: 1 };
}

/** The place of the largest absolute value of a map: [row, column]. */
export function strongestPlace(output, map) {
  const { height, width } = mapsOf(output);
  let best = 0;
  for (let at = 1; at < height * width; at += 1) {
    if (Math.abs(output.data[map * height * width + at]) > Math.abs(output.data[map * height * width + best]))
      best = at;
  }
  return [Math.floor(best / width), best % width];
}

/**
 * What one number of a layer is made of.
 * @param {number} index layer
 * @param {number} map channel of maps, or unit of a vector
 * @param {number[]} place [row, column]
 * @returns {object} `{kind, value}` and, as far as the kind has them,
 *   conv: `bias`, `channel` (of the input, the one that counts most), `patch`, `kernel`, `products` (rows of numbers of
 *   that channel; null in a patch lies outside), `sums` (one for each channel of the input);
 *   maxpool, avgpool: `patch`; flatten: `from` [map, row, column]; dense: `bias`, `terms` [{at, input, weight,
 *   product}] by size; relu and others of one number: `input`; otherwise nothing more
 */
export function termsOf(run, index, map, [row, column]) {
  const layer = run.layers[index];
  const output = run.outputs[index];
  const { height, width } = mapsOf(output);
  const value = output.data[(map * height + row) * width + column];
  const source = sourceOf(run, index);
  const known = { kind: layer.kind, value };
  if (layer.kind === "conv" && run.arrays)
    return { ...known, ...convolutionTerms(layer, run.arrays, source, map, row, column) };
  if (layer.kind === "maxpool" || layer.kind === "avgpool")
    return { ...known, patch: pooled(layer, source, map, row, column) };
  if (layer.kind === "dense" && run.arrays) return { ...known, ...denseTerms(layer, run.arrays, source, map) };
  if (layer.kind === "flatten") return { ...known, from: unflattened(source, map) };
  if (["relu", "tanh", "sigmoid", "selu"].includes(layer.kind)) {
    return { ...known, input: source.data[(map * height + row) * width + column] };
  }
  return known;
}

function unflattened(source, at) {
  const { height, width } = mapsOf(source);
  return [Math.floor(at / (height * width)), Math.floor(at / width) % height, at % width];
}

function convolutionTerms(layer, arrays, source, map, row, column) {
  const { count, height, width } = mapsOf(source);
  const [tall, wide] = pair(layer.kernel);
  const [strideY, strideX] = pair(layer.stride);
  const [top, left] = four(layer.pad);
  const weight = arrays[layer.weight];
  const [startY, startX] = [row * strideY - top, column * strideX - left];
  const pixel = (channel, y, x) =>
    y >= 0 && y < height && x >= 0 && x < width ? source.data[(channel * height + y) * width + x] : null;
  const grid = (at) => Array.from({ length: tall }, (_, y) => Array.from({ length: wide }, (_, x) => at(y, x)));
  const kernelOf = (channel) => grid((y, x) => weight[((map * count + channel) * tall + y) * wide + x]);
  const patchOf = (channel) => grid((y, x) => pixel(channel, startY + y, startX + x));
  const productsOf = (channel) => {
    const [kernel, patch] = [kernelOf(channel), patchOf(channel)];
    return grid((y, x) => kernel[y][x] * (patch[y][x] ?? 0));
  };
  const sums = Array.from({ length: count }, (_, channel) =>
    productsOf(channel)
      .flat()
      .reduce((sum, part) => sum + part, 0),
  );
  const channel = sums.reduce((best, sum, at) => (Math.abs(sum) > Math.abs(sums[best]) ? at : best), 0);
  const parts = { patch: patchOf(channel), kernel: kernelOf(channel), products: productsOf(channel) };
  return { bias: arrays[layer.bias][map], channel, ...parts, sums, corner: [startY, startX] };
}

function pooled(layer, source, map, row, column) {
  const { height, width } = mapsOf(source);
  const [tall, wide] = pair(layer.size);
  const [strideY, strideX] = pair(layer.stride);
  const start = (map * height + row * strideY) * width + column * strideX;
  return Array.from({ length: tall }, (_, y) =>
    Array.from({ length: wide }, (_, x) => source.data[start + y * width + x]),
  );
}

function denseTerms(layer, arrays, source, unit) {
  const weight = arrays[layer.weight];
  const n = source.data.length;
  const terms = Array.from({ length: n }, (_, at) => {
    const [input, factor] = [source.data[at], weight[unit * n + at]];
    return { at, input, weight: factor, product: input * factor };
  });
  terms.sort((a, b) => Math.abs(b.product) - Math.abs(a.product) || a.at - b.at);
  return { bias: arrays[layer.bias][unit], terms };
}
