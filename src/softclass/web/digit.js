/**
 * How a picture becomes what a network takes. `fitDigit` is the rule that prepared the images of the demo network, in
 * whole numbers, so that drawings and training images are the same to the last pixel (scripts/demo_digits.py).
 */

/** Sides of a fitted digit, the brightest pixel that is no ink (5 % of 255), and one of 15 steps of grey. */
const SIDE = 28;
const INK = 12;
const LEVEL = 17;

const quotient = (numerator, denominator) => Math.floor((2 * numerator + denominator) / (2 * denominator));

/**
 * A digit with light ink on black, 20 of 28 pixels large, its mass in the middle.
 *
 * The middle grey of the frame is the background; a light one is turned over. The rest is stretched so that the
 * strongest ink is 255, what lies outside of ink over 5 % is cut off, the longer side becomes 5/7 of `side` by averages
 * over areas, grey is quotient to 16 levels, and the centre of mass comes as near to the middle as it can while all ink
 * stays inside.
 * @param {ArrayLike<number>} grey height x width, whole numbers from 0 to 255
 * @param {number} height at least 2
 * @param {number} width at least 2
 * @returns {Uint8Array} side x side, multiples of 17; all 0 for a picture without ink
 */
export function fitDigit(grey, height, width, side = SIDE) {
  const found = new Uint8Array(side * side);
  const ink = inkOf(grey, height, width);
  const box = inkBox(ink, height, width);
  if (box === null) return found;
  const longer = Math.max(box.height, box.width);
  const wanted = quotient(5 * side, 7);
  const down = Math.max(1, quotient(wanted * box.height, longer));
  const across = Math.max(1, quotient(wanted * box.width, longer));
  const areas = areaSums(ink, width, box, down, across);
  const whole = LEVEL * box.height * box.width;
  const levels = areas.map((area) => Math.floor((2 * area + whole) / (2 * whole)));
  const rows = new Float64Array(down);
  const columns = new Float64Array(across);
  let mass = 0;
  levels.forEach((level, at) => {
    rows[Math.floor(at / across)] += level;
    columns[at % across] += level;
    mass += level;
  });
  if (mass === 0) return found;
  const [top, left] = [placed(rows, mass, side), placed(columns, mass, side)];
  levels.forEach((level, at) => {
    found[(top + Math.floor(at / across)) * side + left + (at % across)] = LEVEL * level;
  });
  return found;
}

/** Grey above the background, stretched to 255; all 0 where nothing differs from it by more than 5 %. */
function inkOf(grey, height, width) {
  const frame = [];
  for (let x = 0; x < width; x += 1) frame.push(grey[x], grey[(height - 1) * width + x]);
  for (let y = 1; y < height - 1; y += 1) frame.push(grey[y * width], grey[y * width + width - 1]);
  frame.sort((a, b) => a - b);
  let background = frame[(frame.length - 1) >> 1];
  const isLight = 2 * background > 255;
  if (isLight) background = 255 - background;
  const above = new Float64Array(height * width);
  let strongest = 0;
  for (let at = 0; at < above.length; at += 1) {
    above[at] = Math.max((isLight ? 255 - grey[at] : grey[at]) - background, 0);
    strongest = Math.max(strongest, above[at]);
  }
  if (strongest <= INK) return above.fill(0);
  for (let at = 0; at < above.length; at += 1) {
    if (above[at] > 0) above[at] = Math.floor((510 * above[at] + strongest) / (2 * strongest));
  }
  return above;
}

/** The smallest rectangle around all ink, null without ink. */
function inkBox(ink, height, width) {
  let [top, left, bottom, right] = [height, width, -1, -1];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (ink[y * width + x] <= INK) continue;
      top = Math.min(top, y);
      bottom = y;
      left = Math.min(left, x);
      right = Math.max(right, x);
    }
  }
  return bottom < 0 ? null : { top, left, height: bottom - top + 1, width: right - left + 1 };
}

/** Sums over `down` x `across` equal cells of a box, in parts of a pixel of which there are down times across. */
function areaSums(values, stride, { top, left, height, width }, down, across) {
  const rows = overlaps(height, down);
  const columns = overlaps(width, across);
  const narrow = new Float64Array(height * across);
  for (let y = 0; y < height; y += 1) {
    const from = (top + y) * stride + left;
    columns.forEach(({ cell, pixel, share }) => {
      narrow[y * across + cell] += share * values[from + pixel];
    });
  }
  const sums = new Float64Array(down * across);
  rows.forEach(({ cell, pixel, share }) => {
    for (let x = 0; x < across; x += 1) sums[cell * across + x] += share * narrow[pixel * across + x];
  });
  return sums;
}

/** Which pixels lie in which of some equal cells, and how much of each, in parts of which a pixel has `cells`. */
function overlaps(length, cells) {
  const found = [];
  for (let cell = 0; cell < cells; cell += 1) {
    const [low, high] = [cell * length, (cell + 1) * length];
    for (let pixel = Math.floor(low / cells); pixel * cells < high; pixel += 1) {
      found.push({ cell, pixel, share: Math.min((pixel + 1) * cells, high) - Math.max(pixel * cells, low) });
    }
  }
  return found;
}

/** Where the ink begins so that its centre of mass comes to the middle, or as near as it can inside. */
function placed(sums, mass, side) {
  let moment = 0;
  sums.forEach((sum, at) => {
    moment += at * sum;
  });
  const start = quotient((side - 1) * mass - 2 * moment, 2 * mass);
  return Math.min(Math.max(start, 0), side - sums.length);
}

/**
 * Grey of coloured pixels: .299 red, .587 green, .114 blue in parts of 65,536, as training does it.
 * @param {ArrayLike<number>} rgba four numbers a pixel; what is see-through shows white paper
 */
export function greyOf(rgba) {
  const solid = opaque(rgba);
  const grey = new Uint8Array(rgba.length / 4);
  for (let at = 0; at < grey.length; at += 1) {
    grey[at] = (19595 * solid[3 * at] + 38470 * solid[3 * at + 1] + 7471 * solid[3 * at + 2] + 32768) >> 16;
  }
  return grey;
}

/** Red, green and blue on white paper. */
export function opaque(rgba) {
  const solid = new Uint8Array((rgba.length / 4) * 3);
  for (let at = 0; at < solid.length; at += 1) {
    const pixel = 4 * Math.floor(at / 3);
    const share = rgba[pixel + 3];
    solid[at] = Math.floor((2 * (rgba[pixel + (at % 3)] * share + 255 * (255 - share)) + 255) / 510);
  }
  return solid;
}
