/**
 * A picture at the size of a model by the rule of training and prediction (data/resize.py): Pillow's antialiased
 * BILINEAR filter in whole numbers of 8 bits with weights of 22. Columns are done first, then rows, as most versions of
 * Pillow do; some begin with the side that shrinks more, and then a pixel may be one level of 255 off by rounding.
 */
import { greyOf, opaque } from "softclass/digit";

const BITS = 22; // of a weight behind the point

/** floor(side * to / from + 1/2), at least 1. */
const inProportion = (side, to, from) => Math.max(1, Math.floor((2 * side * to + from) / (2 * from)));

/**
 * @param {{data: ArrayLike<number>, height: number, width: number}} picture four numbers a pixel; what is see-through
 *   shows white paper
 * @param {number[]} shape [channels, height, width]; 1 channel is grey, 3 are colours
 * @param {string} way "crop" cuts the middle out, "pad" leaves black beside it, "stretch" pulls it
 * @returns {Uint8Array} height x width x channels
 */
export function resized(picture, [channels, height, width], way) {
  const values = channels === 1 ? greyOf(picture.data) : opaque(picture.data);
  const [tall, wide] = scaledTo(picture, height, width, way);
  // What is kept of the scaled picture, and where it lies in the result: one of both begins at 0.
  const kept = { height: Math.min(tall, height), width: Math.min(wide, width) };
  const columns = weightsOf(picture.width, wide, (wide - kept.width) >> 1, kept.width);
  const rows = weightsOf(picture.height, tall, (tall - kept.height) >> 1, kept.height);
  const narrow = acrossColumns(values, picture, channels, columns);
  const found = new Uint8Array(height * width * channels);
  const [top, left] = [(height - kept.height) >> 1, (width - kept.width) >> 1];
  const line = kept.width * channels;
  rows.forEach(({ first, weights }, y) => {
    const to = ((top + y) * width + left) * channels;
    for (let at = 0; at < line; at += 1) {
      let sum = 1 << (BITS - 1);
      for (let i = 0; i < weights.length; i += 1) sum += weights[i] * narrow[(first + i) * line + at];
      found[to + at] = sum >> BITS;
    }
  });
  return found;
}

/** Height and width of the whole picture at the scale of the model. */
function scaledTo(picture, height, width, way) {
  if (way === "stretch") return [height, width];
  const isTaller = width * picture.height >= height * picture.width;
  return (way === "crop") === isTaller
    ? [inProportion(picture.height, width, picture.width), width]
    : [height, inProportion(picture.width, height, picture.height)];
}

/** For some of the `to` pixels that `from` pixels become: the first pixel that counts, and what each one weighs. */
function weightsOf(from, to, begin, count) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: count }, (_, i) => {
    const centre = (begin + i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const behind = Math.min(Math.trunc(centre + reach + 0.5), from);
    const shares = Array.from({ length: behind - first }, (_, at) =>
      Math.max(0, 1 - Math.abs((at + first - centre + 0.5) * (1 / reach))),
    );
    const total = shares.reduce((sum, share) => sum + share, 0);
    return { first, weights: shares.map((share) => Math.trunc(0.5 + (share / total) * 2 ** BITS)) };
  });
}

/** All rows, with fewer columns. */
function acrossColumns(values, picture, channels, columns) {
  const found = new Uint8Array(picture.height * columns.length * channels);
  let to = 0;
  for (let y = 0; y < picture.height; y += 1) {
    for (const { first, weights } of columns) {
      const from = (y * picture.width + first) * channels;
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = 1 << (BITS - 1);
        for (let i = 0; i < weights.length; i += 1) sum += weights[i] * values[from + i * channels + channel];
        found[to] = sum >> BITS;
        to += 1;
      }
    }
  }
  return found;
}
