/**
 * Rounding of float64 numbers to what a shorter type can hold, to the nearest, ties to even.
 *
 * Names of the types are those of the page's address: f64, f32, bf16, f16. bfloat16 is rounded from float32, as
 * libraries do: a float64 number is first rounded to float32.
 */

const double = new Float64Array(1);
const doubleWords = new Uint32Array(double.buffer);
const single = new Float32Array(1);
const singleWord = new Uint32Array(single.buffer);
const HIGH_WORD = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
// Adding and taking away this number rounds what is below 2^51 to a whole number, ties to even.
const TO_WHOLE = 1.5 * 2 ** 52;

/** The types, from the most digits to the fewest. */
export const PRECISIONS = ["f64", "f32", "bf16", "f16"];

/** The largest finite number of each type. */
export const LARGEST = {
  f64: Number.MAX_VALUE,
  f32: (2 - 2 ** -23) * 2 ** 127,
  bf16: (2 - 2 ** -7) * 2 ** 127,
  f16: 65504,
};

/** The largest z whose e^z is a finite number of the type. */
export const LARGEST_EXP = Object.fromEntries(PRECISIONS.map((name) => [name, Math.log(LARGEST[name])]));

/**
 * Round a number to a type.
 * @param {number} x
 * @param {"f64"|"f32"|"bf16"|"f16"} precision
 * @returns {number}
 */
export function round(x, precision) {
  if (precision === "f64") return x;
  if (precision === "f32") return Math.fround(x);
  if (precision === "bf16") return toBfloat16(x);
  if (precision === "f16") return toFloat16(x);
  throw new RangeError(`no precision ${precision}`);
}

function toBfloat16(x) {
  single[0] = x;
  if (!Number.isFinite(single[0])) return single[0];
  const bits = singleWord[0];
  singleWord[0] = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return single[0];
}

function toFloat16(x) {
  if (!Number.isFinite(x) || x === 0) return x;
  double[0] = x;
  const exponent = ((doubleWords[HIGH_WORD] >>> 20) & 0x7ff) - 1023;
  const spacing = 2 ** (Math.max(exponent, -14) - 10);
  const whole = Math.abs(x) / spacing + TO_WHOLE - TO_WHOLE;
  const size = whole * spacing;
  return Math.sign(x) * (size > LARGEST.f16 ? Infinity : size);
}
