/**
 * Rounding of float64 numbers to what a shorter type can hold: to the nearest, ties to even.
 *
 * Names of the types are those of the page's address: f64, f32, bf16, f16. bfloat16 is made from float32, as
 * processors do it.
 */

/** Bits after the leading one, smallest normal exponent and largest finite number of each type, most digits first. */
const TYPES = {
  f64: { bits: 52, lowest: -1022, largest: Number.MAX_VALUE },
  f32: { bits: 23, lowest: -126, largest: (2 - 2 ** -23) * 2 ** 127 },
  bf16: { bits: 7, lowest: -126, largest: (2 - 2 ** -7) * 2 ** 127 },
  f16: { bits: 10, lowest: -14, largest: 65504 },
};
const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0; // the word that holds the exponent
const TO_WHOLE = 1.5 * 2 ** 52; // adding and taking it away rounds what is below 2^51 to a whole number, ties to even

/** The names of the types. */
export const PRECISIONS = Object.keys(TYPES);

/** The largest z whose e^z is a finite number of the type. */
export const LARGEST_EXP = Object.fromEntries(PRECISIONS.map((name) => [name, Math.log(TYPES[name].largest)]));

/**
 * Round a number to a type.
 * @param {number} x any number; NaN, infinities and the sign of 0 stay
 * @param {"f64"|"f32"|"bf16"|"f16"} precision
 */
export function round(x, precision) {
  if (precision === "f64") return x;
  if (precision === "f32") return Math.fround(x);
  if (!Object.hasOwn(TYPES, precision)) throw new RangeError(`no precision ${precision}`);
  double[0] = precision === "bf16" ? Math.fround(x) : x;
  if (!Number.isFinite(double[0]) || double[0] === 0) return double[0];
  const { bits, lowest, largest } = TYPES[precision];
  const exponent = ((words[HIGH] >>> 20) & 0x7ff) - 1023;
  const spacing = 2 ** (Math.max(exponent, lowest) - bits);
  const size = (Math.abs(double[0]) / spacing + TO_WHOLE - TO_WHOLE) * spacing;
  return Math.sign(x) * (size > largest ? Infinity : size);
}
