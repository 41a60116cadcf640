/** Words and numbers of the page in the chosen language. */
const LANGUAGES = ["en", "zh"];
const texts = {};
let current = "en";
let formats = new Map();

/**
 * Add the words of a part of the page: `{key: [English, Chinese]}`, to be found under `part.key`. Texts hold places as
 * `{name}`.
 */
export function register(part, words) {
  for (const [key, pair] of Object.entries(words)) texts[`${part}.${key}`] = pair;
}

/**
 * The text of `key`, its places filled from `values`: texts as they are, whole numbers as the language writes them. A
 * key without a text shows itself in double brackets.
 */
export function t(key, values = {}) {
  if (!(key in texts)) return `⟦${key}⟧`;
  const pattern = texts[key][LANGUAGES.indexOf(current)];
  const written = (value) => (Number.isInteger(value) ? integer(value) : String(value));
  return pattern.replace(/\{(\w+)\}/g, (place, name) => (name in values ? written(values[name]) : place));
}

/** Choose "en" or "zh", or "auto" for the first of the browser's languages that is one of them. */
export function setLanguage(choice) {
  const wanted = choice === "auto" ? navigator.languages : [choice];
  current = wanted.map((name) => name.slice(0, 2).toLowerCase()).find((name) => LANGUAGES.includes(name)) ?? "en";
  formats = new Map();
  return current;
}

export const language = () => current;

function formatted(x, options) {
  const name = JSON.stringify(options);
  if (!formats.has(name)) formats.set(name, new Intl.NumberFormat(current === "zh" ? "zh-CN" : "en", options));
  return formats.get(name).format(x).replace("-", "−");
}

/** NaN and the infinities as people write them. */
const unusual = (x) => (Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞");

/**
 * A number for people, with at most `digits` decimals; as a power of ten where it would print as 0 or is 1e9 or more.
 * @param {number} x any number, NaN and infinities too
 * @param {number} digits decimals
 * @param {boolean} fixed keep zeros at the end, so that columns align
 */
export function number(x, digits = 3, fixed = false) {
  if (!Number.isFinite(x)) return unusual(x);
  const size = Math.abs(x);
  if (size >= 1e9 || (size > 0 && size < 0.5 * 10 ** -digits)) return power(x);
  return formatted(x + 0, { maximumFractionDigits: digits, minimumFractionDigits: fixed ? digits : 0 });
}

/** A whole number with separators of thousands. */
export const integer = (n) =>
  Number.isFinite(n) ? formatted(Math.round(n) + 0, { maximumFractionDigits: 0 }) : unusual(n);

/** A probability in percent with one decimal; what would round to 0 or 100 without being it says so. */
export function percent(p) {
  if (!Number.isFinite(p)) return unusual(p);
  if (p > 0 && p < 0.0005) return `< ${formatted(0.1, { minimumFractionDigits: 1 })} %`;
  if (p < 1 && p > 0.9995) return `> ${formatted(99.9, { minimumFractionDigits: 1 })} %`;
  const digits = p === 0 || p === 1 ? 0 : 1;
  return `${formatted(100 * p, { minimumFractionDigits: digits, maximumFractionDigits: digits })} %`;
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A whole number in raised digits, for exponents. */
export const raised = (n) =>
  String(n)
    .replace("-", "⁻")
    .replace(/\d/g, (digit) => RAISED[digit]);

/** A number as 1.2 × 10⁻⁹, its mantissa with `digits` decimals. */
export function power(x, digits = 1) {
  if (!Number.isFinite(x)) return unusual(x);
  if (x === 0) return "0";
  const [mantissa, exponent] = x.toExponential(digits).split("e");
  return `${formatted(Number(mantissa), { maximumFractionDigits: digits })} × 10${raised(Number(exponent))}`;
}

/** e to the power x for people, also where it is no float64. */
export function exponential(x, digits = 3) {
  if (Math.abs(x) < 700) return x < 14 ? number(Math.exp(x), digits) : power(Math.exp(x), digits);
  const tens = Math.floor(x / Math.LN10);
  const mantissa = Math.exp(x - tens * Math.LN10);
  return Number.isFinite(mantissa)
    ? `${formatted(mantissa, { maximumFractionDigits: 1 })} × 10${raised(tens)}`
    : unusual(x);
}

/** The name of class i in panels that have no model: A, B, C … */
export const letter = (i) => String.fromCharCode(65 + i);
