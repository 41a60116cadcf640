/** Numbers as pixels: positive and negative in two hues, or grey; and many maps side by side. */

/** The colours of now as [red, green, blue]: plus, minus, nothing, and what ink is. */
export function hues() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => {
    const digits = style.getPropertyValue(name).trim().slice(1);
    return [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16));
  };
  return { plus: read("--plus"), minus: read("--minus"), zero: read("--card"), ink: read("--ink") };
}

/** So many numbers are drawn as bars, not as cells. */
export const MOST_BARS = 32;
const BEND = 0.6; // power of the strength of colours where small values must be seen beside large ones

/** Write the colour of a value whose full colour is at 1 into bytes, from `to` on. */
function put(bytes, to, share, { plus, minus, zero }) {
  const hue = share < 0 ? minus : plus;
  const strength = (Math.min(Math.abs(share), 1) || 0) ** BEND;
  for (let i = 0; i < 3; i += 1) bytes[to + i] = zero[i] + (hue[i] - zero[i]) * strength;
  bytes[to + 3] = 255;
}

/**
 * A canvas with one pixel for each number.
 * @param {number} start of the first number
 * @param {number} largest the value of full colour
 * @param {object} colours of hues()
 */
export function signed(data, start, height, width, largest, colours) {
  return canvasOf(height, width, (bytes) => {
    for (let at = 0; at < height * width; at += 1) put(bytes, 4 * at, data[start + at] / (largest || 1), colours);
  });
}

/** As `signed`, in proportion to the value and see-through where it is small. */
export function veil(data, height, width, largest, { plus, minus }) {
  return canvasOf(height, width, (bytes) => {
    data.forEach((value, at) =>
      bytes.set([...(value < 0 ? minus : plus), (255 * Math.abs(value)) / (largest || 1)], 4 * at),
    );
  });
}

/** Pixels as ink: the lighter the pixel, the less one sees through it; colours become grey. */
export function inked(pixels, height, width, channels, strength, { ink }) {
  return canvasOf(height, width, (bytes) => {
    for (let at = 0; at < height * width; at += 1) {
      let sum = 0;
      for (let i = 0; i < channels; i += 1) sum += pixels[at * channels + i];
      bytes.set([...ink, (strength * sum) / channels], 4 * at);
    }
  });
}

/** A canvas of pixels from 0 to 255: grey, or colour of three channels. */
export function pixelsOf(pixels, height, width, channels) {
  return canvasOf(height, width, (bytes) => {
    for (let at = 0; at < height * width; at += 1) {
      for (let i = 0; i < 3; i += 1) bytes[4 * at + i] = pixels[at * channels + (channels === 1 ? 0 : i)];
      bytes[4 * at + 3] = 255;
    }
  });
}

function canvasOf(height, width, fill) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { height, width });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  fill(image.data);
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The largest absolute value, 0 if there is none that is finite. */
export function reach(data) {
  let largest = 0;
  for (const value of data) if (Math.abs(value) > largest && Math.abs(value) < Infinity) largest = Math.abs(value);
  return largest;
}

/** Rows and columns of a grid for so many maps, as square as it can be. */
function gridOf(count, height, width) {
  const columns = Math.min(count, Math.max(1, Math.ceil(Math.sqrt((count * height) / width))));
  return { columns, rows: Math.ceil(count / columns) };
}

/**
 * Draw the maps of a layer side by side into a canvas, as large as they fit.
 * @param {{shape: number[], data: ArrayLike<number>}} output maps, or a vector, whose numbers become maps of one pixel
 * @param {{most: number, colours: object, chosen?: ?number}} options `most` maps at most; a frame around the chosen one
 * @returns {{at: function(number, number): ?number, shown: number}} `at` gives the map at a pixel of the canvas
 */
export function drawMaps(canvas, output, { most, colours, chosen = null }) {
  const { shape, data } = output;
  const [count, height, width] = shape.length === 3 ? shape : [shape[0], 1, 1];
  if (height * width === 1 && count <= MOST_BARS) return drawBars(canvas, data, { colours, chosen });
  const shown = Math.min(count, most);
  const { columns, rows } = gridOf(shown, height, width);
  const gap = height * width > 1 ? 2 : 0;
  const size = Math.min(
    (canvas.width - (columns - 1) * gap) / (columns * width),
    (canvas.height - (rows - 1) * gap) / (rows * height),
  );
  const scale = size >= 1 ? Math.floor(size) : size;
  const [pitchX, pitchY] = [width * scale + gap, height * scale + gap];
  const left = Math.floor((canvas.width - columns * pitchX + gap) / 2);
  const top = Math.floor((canvas.height - rows * pitchY + gap) / 2);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const largest = reach(data) || 1;
  for (let map = 0; map < shown; map += 1) {
    const [fromX, fromY] = [left + (map % columns) * pitchX, top + Math.floor(map / columns) * pitchY];
    for (let y = 0; y < Math.floor(height * scale); y += 1) {
      const row = (map * height + Math.floor(y / scale)) * width;
      let to = 4 * ((Math.floor(fromY) + y) * canvas.width + Math.floor(fromX));
      for (let x = 0; x < Math.floor(width * scale); x += 1, to += 4) {
        put(image.data, to, data[row + Math.floor(x / scale)] / largest, colours);
      }
    }
  }
  context.putImageData(image, 0, 0);
  if (chosen !== null && chosen < shown) {
    context.strokeStyle = `rgb(${colours.ink.join(" ")})`;
    context.lineWidth = 2;
    const [x, y] = [left + (chosen % columns) * pitchX, top + Math.floor(chosen / columns) * pitchY];
    context.strokeRect(x - 1, y - 1, width * scale + 2, height * scale + 2);
  }
  const at = (px, py) => {
    const [column, row] = [Math.floor((px - left) / pitchX), Math.floor((py - top) / pitchY)];
    const map = row * columns + column;
    return column >= 0 && column < columns && row >= 0 && map < shown ? map : null;
  };
  return { at, shown };
}

/** Few numbers as upright bars from a line at zero. */
function drawBars(canvas, data, { colours, chosen }) {
  const context = canvas.getContext("2d");
  const [low, high] = [Math.min(0, ...data), Math.max(0, ...data)];
  const pitch = canvas.width / data.length;
  const y = (value) => 4 + ((high - value) / (high - low || 1)) * (canvas.height - 8);
  const rgb = (colour) => `rgb(${colour.join(" ")})`;
  context.clearRect(0, 0, canvas.width, canvas.height);
  data.forEach((value, i) => {
    context.fillStyle = rgb(value < 0 ? colours.minus : colours.plus);
    context.fillRect(i * pitch + 0.12 * pitch, Math.min(y(0), y(value)), 0.76 * pitch, Math.abs(y(value) - y(0)));
  });
  context.fillStyle = rgb(colours.ink);
  context.fillRect(0, y(0) - 0.5, canvas.width, 1);
  if (chosen !== null && chosen < data.length) {
    context.strokeStyle = rgb(colours.ink);
    context.lineWidth = 2;
    context.strokeRect(chosen * pitch + 1, 1, pitch - 2, canvas.height - 2);
  }
  const at = (x) => (x >= 0 && x < canvas.width ? Math.floor(x / pitch) : null);
  return { at, shown: data.length };
}
