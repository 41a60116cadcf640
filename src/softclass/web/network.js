/**
 * The forward pass over a list of layers, every activation kept, and the exact share of each place in a class score.
 *
 * Layouts are those of ONNX: maps [C, H, W], convolution weight [out, in, kh, kw], dense weight [K, D] whose columns
 * read the flattened maps in the order C, H, W. Arithmetic is float64 whatever the arrays are, so a sum over a map
 * repeats a logit to its last digits.
 */
import { softmax } from "softclass/softmax";

/** The kinds of layer that have a forward pass here; a list with any other kind is refused. */
export const KINDS = [
  "conv", "maxpool", "avgpool", "globalavgpool", "relu", "tanh", "sigmoid", "flatten", "dense", "softmax",
];

const POINTWISE = {
  relu: (value) => (value > 0 || value !== value ? value : 0), // NaN stays NaN, as in ONNX
  tanh: Math.tanh,
  sigmoid: (value) => 1 / (1 + Math.exp(-value)),
};

/** Say whether every layer of a list has a forward pass here. */
export function isKnown(layers) {
  return layers.length > 0 && layers.every((layer) => KINDS.includes(layer.kind));
}

/**
 * Put layers and arrays together; shapes are worked out and checked once.
 * @param {object[]} layers `{kind, name, …}`: conv `kernel stride pad weight bias`, maxpool and avgpool `size stride`,
 *   dense `weight bias`. `kernel`, `size` and `stride` are [height, width] or one number for both, `pad` is [top, left,
 *   bottom, right] or one number for all; `weight` and `bias` are keys of `arrays`.
 * @param {Object<string, ArrayLike<number>>} arrays flat arrays, each with a `shape`
 * @param {number[]} input shape of what comes in, [C, H, W] or [D]
 * @returns {{layers: object[], input: number[], shapes: number[][], forward: function(ArrayLike<number>): object}}
 *   `forward(values)` gives `{input, outputs, logits}`: the input and the output of each layer as `{shape, data}` with
 *   float64 data, and the data of the last layer that is not a softmax.
 * @throws {Error} if a kind is unknown, an array is missing, or layers do not fit each other
 */
export function createNetwork(layers, arrays, input) {
  const steps = [];
  let shape = [...input];
  for (const layer of layers) {
    if (!KINDS.includes(layer.kind)) throw new Error(`layer ${layer.name}: the kind ${layer.kind} has no forward pass`);
    const step = STEPS[layer.kind](layer, arrays, shape);
    if (step.shape.some((side) => !(side >= 1))) throw new Error(`layer ${layer.name}: nothing is left of its input`);
    steps.push(step);
    shape = step.shape;
  }
  const last = lastBeforeSoftmax(layers);
  const forward = (values) => {
    if (values.length !== size(input)) throw new Error(`the input has ${values.length} values, not ${size(input)}`);
    let data = Float64Array.from(values);
    const result = { input: { shape: [...input], data }, outputs: [], logits: data };
    for (const step of steps) {
      data = step.apply(data);
      result.outputs.push({ shape: step.shape, data });
    }
    if (last >= 0) result.logits = result.outputs[last].data;
    return result;
  };
  return { layers, input: [...input], shapes: steps.map((step) => step.shape), forward };
}

/**
 * Turn the pixels of an image into what a network takes: (pixel - mean) / std, in float32 as the model file does it.
 * @param {ArrayLike<number>} pixels height x width x channels, 0 to 255
 * @param {number[]} shape [C, H, W]
 * @param {ArrayLike<number>} mean one a channel
 * @param {ArrayLike<number>} std one a channel
 * @returns {Float32Array} C x H x W
 */
export function scalePixels(pixels, [channels, height, width], mean, std) {
  const scaled = new Float32Array(channels * height * width);
  const plane = height * width;
  for (let channel = 0; channel < channels; channel++) {
    for (let place = 0; place < plane; place++) {
      const centred = Math.fround(pixels[place * channels + channel] - Math.fround(mean[channel]));
      scaled[channel * plane + place] = centred / Math.fround(std[channel]);
    }
  }
  return scaled;
}

/**
 * Split the score of a class over the places of the image: E[y, x] = sum_c W[k, c, y, x] a[c, y, x].
 *
 * The split is exact where the last dense layer reads flattened maps a: the logit is `bias` plus the sum of `map`.
 * @param {object} network of createNetwork
 * @param {{input: object, outputs: object[]}} result of its `forward`
 * @param {Object<string, ArrayLike<number>>} arrays the arrays the network was made from
 * @param {number} k class
 * @returns {{map: Float64Array, shape: number[], bias: number, logit: number} | null} null where no split is exact
 */
export function evidenceMap(network, result, arrays, k) {
  const place = placeOfEvidence(network.layers, network.input, network.shapes);
  if (place === null) return null;
  const maps = place === 0 ? result.input : result.outputs[place - 1];
  const dense = network.layers[place + 1];
  const [channels, height, width] = maps.shape;
  const weight = arrays[dense.weight];
  const map = new Float64Array(height * width);
  const row = k * channels * map.length;
  for (let channel = 0; channel < channels; channel++) {
    const start = channel * map.length;
    for (let at = 0; at < map.length; at++) map[at] += weight[row + start + at] * maps.data[start + at];
  }
  let sum = 0;
  for (const share of map) sum += share;
  const bias = arrays[dense.bias][k];
  return { map, shape: [height, width], bias, logit: bias + sum };
}

/** The index of the flatten layer in front of the last dense one, if that is all there is after the maps; else null. */
function placeOfEvidence(layers, input, shapes) {
  const last = lastBeforeSoftmax(layers);
  if (last < 1 || layers[last].kind !== "dense" || layers[last - 1].kind !== "flatten") return null;
  const read = last === 1 ? input : shapes[last - 2];
  return read.length === 3 && read[1] * read[2] > 1 ? last - 1 : null;
}

function lastBeforeSoftmax(layers) {
  let last = layers.length - 1;
  while (last >= 0 && layers[last].kind === "softmax") last--;
  return last;
}

const size = (shape) => shape.reduce((product, side) => product * side, 1);
/** Two sides of something that may be given as one number, e.g. a stride. */
export const pair = (value) => (typeof value === "number" ? [value, value] : value);
/** Four sides of something that may be given as one number: top, left, bottom, right. */
export const four = (value) => (typeof value === "number" ? [value, value, value, value] : value);

function arrayOf(layer, part, arrays, shape) {
  const found = arrays[layer[part]];
  if (!found) throw new Error(`layer ${layer.name}: its ${part} is not there`);
  if (found.length !== size(shape)) {
    throw new Error(`layer ${layer.name}: its ${part} has ${found.length} values, not ${shape.join(" x ")}`);
  }
  return found;
}

function mapShape(layer, shape) {
  if (shape.length !== 3) throw new Error(`layer ${layer.name}: ${layer.kind} needs maps, [C, H, W]`);
  return shape;
}

const STEPS = {
  conv: convolution,
  maxpool: (layer, _arrays, shape) => pooling(layer, shape, windowMaximum),
  avgpool: (layer, _arrays, shape) => pooling(layer, shape, windowMean),
  globalavgpool: (layer, _arrays, shape) => {
    const [channels, height, width] = mapShape(layer, shape);
    const whole = { ...layer, size: [height, width], stride: 1 };
    return { ...pooling(whole, shape, windowMean), shape: [channels, 1, 1] };
  },
  relu: pointwise,
  tanh: pointwise,
  sigmoid: pointwise,
  flatten: (_layer, _arrays, shape) => ({ shape: [size(shape)], apply: (data) => data }),
  dense,
  softmax: (_layer, _arrays, shape) => ({ shape, apply: (logits) => Float64Array.from(softmax(logits)) }),
};

function pointwise(layer, _arrays, shape) {
  const rule = POINTWISE[layer.kind];
  return { shape, apply: (data) => data.map(rule) };
}

function dense(layer, arrays, shape) {
  const bias = arrays[layer.bias];
  if (!bias) throw new Error(`layer ${layer.name}: its bias is not there`);
  const nIn = size(shape);
  const nOut = bias.length;
  const weight = arrayOf(layer, "weight", arrays, [nOut, nIn]);
  const apply = (data) => {
    const out = new Float64Array(nOut);
    for (let unit = 0; unit < nOut; unit++) {
      const row = unit * nIn;
      let sum = 0;
      for (let at = 0; at < nIn; at++) sum += weight[row + at] * data[at];
      out[unit] = sum + bias[unit];
    }
    return out;
  };
  return { shape: [nOut], apply };
}

function convolution(layer, arrays, shape) {
  const [nIn, height, width] = mapShape(layer, shape);
  const [kernelHeight, kernelWidth] = pair(layer.kernel);
  const [strideY, strideX] = pair(layer.stride);
  const [top, left, bottom, right] = four(layer.pad);
  const bias = arrays[layer.bias];
  if (!bias) throw new Error(`layer ${layer.name}: its bias is not there`);
  const nOut = bias.length;
  const weight = arrayOf(layer, "weight", arrays, [nOut, nIn, kernelHeight, kernelWidth]);
  const outHeight = Math.floor((height + top + bottom - kernelHeight) / strideY) + 1;
  const outWidth = Math.floor((width + left + right - kernelWidth) / strideX) + 1;
  const paddedHeight = height + top + bottom;
  const paddedWidth = width + left + right;
  const isPadded = paddedHeight !== height || paddedWidth !== width;
  const apply = (data) => {
    const source = isPadded ? padded(data, nIn, height, width, top, left, paddedHeight, paddedWidth) : data;
    const out = new Float64Array(nOut * outHeight * outWidth);
    let at = 0; // in weight
    for (let map = 0; map < nOut; map++) {
      const start = map * outHeight * outWidth;
      const end = start + outHeight * outWidth;
      out.fill(bias[map], start, end);
      for (let channel = 0; channel < nIn; channel++) {
        for (let ky = 0; ky < kernelHeight; ky++) {
          for (let kx = 0; kx < kernelWidth; kx++, at++) {
            const factor = weight[at];
            for (let y = 0, to = start; y < outHeight; y++) {
              let from = (channel * paddedHeight + y * strideY + ky) * paddedWidth + kx;
              for (let x = 0; x < outWidth; x++, to++, from += strideX) out[to] += factor * source[from];
            }
          }
        }
      }
    }
    return out;
  };
  return { shape: [nOut, outHeight, outWidth], apply };
}

function padded(data, channels, height, width, top, left, paddedHeight, paddedWidth) {
  const out = new Float64Array(channels * paddedHeight * paddedWidth);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const from = (channel * height + y) * width;
      out.set(data.subarray(from, from + width), (channel * paddedHeight + top + y) * paddedWidth + left);
    }
  }
  return out;
}

function pooling(layer, shape, summary) {
  const [channels, height, width] = mapShape(layer, shape);
  const [sizeY, sizeX] = pair(layer.size);
  const [strideY, strideX] = pair(layer.stride);
  const outHeight = Math.floor((height - sizeY) / strideY) + 1;
  const outWidth = Math.floor((width - sizeX) / strideX) + 1;
  const apply = (data) => {
    const out = new Float64Array(channels * outHeight * outWidth);
    let to = 0;
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < outHeight; y++) {
        for (let x = 0; x < outWidth; x++, to++) {
          const from = (channel * height + y * strideY) * width + x * strideX;
          out[to] = summary(data, from, sizeY, sizeX, width);
        }
      }
    }
    return out;
  };
  return { shape: [channels, outHeight, outWidth], apply };
}

function windowMaximum(data, from, sizeY, sizeX, width) {
  let best = -Infinity;
  for (let y = 0; y < sizeY; y++) {
    for (let x = 0; x < sizeX; x++) best = Math.max(best, data[from + y * width + x]);
  }
  return best;
}

function windowMean(data, from, sizeY, sizeX, width) {
  let sum = 0;
  for (let y = 0; y < sizeY; y++) {
    for (let x = 0; x < sizeX; x++) sum += data[from + y * width + x];
  }
  return sum / (sizeY * sizeX);
}
