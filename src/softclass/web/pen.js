/** Strokes of a pen: as pixels, and as a short text for the address. Nothing here knows a page. */
import { base64Of, bytesOfBase64 } from "softclass/arrays";

/** Sides of the pad and width of its pen, in pixels of the drawing. */
export const PAD = 280;
export const BRUSH = 20;
/** Characters of an address that a drawing may take. */
const LONGEST = 8192;
const MOST_BYTES = 65_536;

/**
 * Paint one straight line with a round pen into a drawing; what is brighter already stays.
 * @param {Uint8Array} pixels PAD x PAD, changed
 * @param {number[]} from [x, y]
 * @param {number[]} to [x, y]
 * @param {number} brush width
 */
export function paintLine(pixels, [x0, y0], [x1, y1], brush = BRUSH) {
  const reach = brush / 2 + 1;
  const low = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
  const high = (a, b) => Math.min(PAD - 1, Math.ceil(Math.max(a, b) + reach));
  const [dx, dy] = [x1 - x0, y1 - y0];
  const squared = dx * dx + dy * dy;
  for (let y = low(y0, y1); y <= high(y0, y1); y += 1) {
    for (let x = low(x0, x1); x <= high(x0, x1); x += 1) {
      const [right, down] = [x + 0.5 - x0, y + 0.5 - y0];
      const along = squared === 0 ? 0 : Math.min(Math.max((right * dx + down * dy) / squared, 0), 1);
      const [a, b] = [right - along * dx, down - along * dy];
      const cover = Math.min(Math.max(brush / 2 + 0.5 - Math.sqrt(a * a + b * b), 0), 1);
      const value = Math.floor(255 * cover + 0.5);
      if (value > pixels[y * PAD + x]) pixels[y * PAD + x] = value;
    }
  }
}

/**
 * The pixels of strokes.
 * @param {number[][][]} strokes lists of [x, y]; a single point is a dot
 * @returns {Uint8Array} PAD x PAD, 0 to 255
 */
export function painted(strokes, brush = BRUSH) {
  const pixels = new Uint8Array(PAD * PAD);
  for (const stroke of strokes) {
    stroke.forEach((point, i) => paintLine(pixels, stroke[Math.max(i - 1, 0)], point, brush));
  }
  return pixels;
}

/**
 * A drawing as text of letters, digits, - and _: differences of whole numbers, deflated. Long drawings lose points
 * until they fit.
 * @param {number[][][]} strokes
 * @returns {Promise<string>} at most LONGEST characters, "" for no strokes
 */
export async function textOf(strokes) {
  if (strokes.length === 0) return "";
  for (let apart = 1; ; apart *= 2) {
    const bytes = bytesOfStrokes(strokes.map((stroke) => thinned(stroke, apart)));
    const packed = await through(bytes, new CompressionStream("deflate-raw"), Infinity);
    const text = base64Of(packed).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    if (text.length <= LONGEST) return text;
    if (apart > PAD) return textOf(strokes.slice(0, strokes.length >> 1)); // thousands of dots
  }
}

/**
 * The drawing that a text holds; null if it holds none.
 * @returns {Promise<number[][][] | null>}
 */
export async function strokesOf(text) {
  try {
    const packed = bytesOfBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
    return read(await through(packed, new DecompressionStream("deflate-raw"), MOST_BYTES));
  } catch {
    return null;
  }
}

/** Points at least so far from the one before; the last one always stays. */
function thinned(stroke, apart) {
  const kept = [];
  stroke.forEach(([x, y], i) => {
    const point = [Math.round(x), Math.round(y)];
    const last = kept.at(-1);
    if (!last || Math.max(Math.abs(point[0] - last[0]), Math.abs(point[1] - last[1])) >= apart) kept.push(point);
    else if (i === stroke.length - 1) kept.push(point);
  });
  return kept;
}

/** For each stroke the number of its points and the steps between them, seven bits a byte. */
function bytesOfStrokes(strokes) {
  const bytes = [];
  const put = (number) => {
    let rest = number;
    for (; rest > 127; rest >>= 7) bytes.push((rest & 127) | 128);
    bytes.push(rest);
  };
  let [x, y] = [0, 0];
  for (const stroke of strokes) {
    put(stroke.length);
    for (const point of stroke) {
      for (const step of [point[0] - x, point[1] - y]) put(step < 0 ? -2 * step - 1 : 2 * step);
      [x, y] = point;
    }
  }
  return Uint8Array.from(bytes);
}

function read(bytes) {
  let at = 0;
  const take = () => {
    let number = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= bytes.length) throw new RangeError("the drawing ends too early");
      const byte = bytes[at];
      at += 1;
      number |= (byte & 127) << shift;
      if (byte < 128) return number;
    }
    throw new RangeError("a number is too long");
  };
  const step = () => {
    const number = take();
    return number & 1 ? -(number + 1) / 2 : number / 2;
  };
  let [x, y] = [0, 0];
  const strokes = [];
  while (at < bytes.length) {
    const stroke = [];
    for (let left = take(); left > 0; left -= 1) {
      [x, y] = [x + step(), y + step()];
      if (!(x >= 0 && x <= PAD && y >= 0 && y <= PAD)) throw new RangeError("a point lies outside");
      stroke.push([x, y]);
    }
    if (stroke.length === 0) throw new RangeError("a stroke is empty");
    strokes.push(stroke);
  }
  return strokes.length > 0 ? strokes : null;
}

/** All bytes that come out of a stream, at most so many. */
async function through(bytes, stream, most) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  let length = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    length += part.value.length;
    if (length > most) {
      await reader.cancel();
      throw new RangeError("the drawing is too long");
    }
    parts.push(part.value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
