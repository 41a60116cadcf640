/** What a link can hold: the table of keys, and the way between state and address fragment. */

import { HEADS } from "softclass/heads";

/** The panels in the order of the contents. */
export const PANELS = ["softmax", "loss", "slow", "plane", "digit", "mistakes", "reliability", "sets"];

const all = PANELS;
const numeric = (low, high, fallback, panels) => ({ kind: "number", low, high, fallback, panels });
const whole = (low, high, fallback, panels) => ({ kind: "integer", low, high, fallback, panels });
const word = (options, fallback, panels) => ({ kind: "word", options, fallback, panels });
/** A whole number or one of the words, e.g. a class or "top". */
const either = (options, high, fallback, panels) => ({ kind: "either", options, low: 0, high, fallback, panels });
const list = (item, least, most, fallback, panels) => ({ kind: "list", item, least, most, fallback, panels });
/** Letters, digits, - and _: nothing that could be markup. */
const letters = (longest, fallback, panels) => ({ kind: "text", longest, fallback, panels });

const LOSSES = ["ce", "se", "sigmoid_ce", "sigmoid_se", "eps", "clip"];
const DATA = ["blobs3", "blobs4", "blobs5", "moons", "rings", "spiral", "iris", "article", "own"];
const SLOW = ["slow", "plane"];
const TRUST = ["mistakes", "reliability", "sets"];

/** Every key, in the order in which an address holds them: {key: {kind, limits, fallback, panels}}. */
export const FIELDS = {
  v: whole(1, 1, 1, all),
  p: word(PANELS, "softmax", all),
  lang: word(["auto", "en", "zh"], "auto", all),
  hide: list(null, 0, 50, [], all), // its item is set below: the keys of this very table
  tour: whole(0, 12, 0, all), // 0: no tour

  z: list(numeric(-Number.MAX_VALUE, Number.MAX_VALUE), 2, 10, [2, 1, 0.1], ["softmax", "loss"]),
  T: numeric(0.05, 20, 1, ["softmax", "loss", "digit", ...TRUST]),
  shift: numeric(-1000, 1000, 0, ["softmax"]),
  view: word(["bars", "jacobian", "simplex", "precision"], "bars", ["softmax"]),
  dtype: word(["f64", "f32", "bf16", "f16"], "f64", ["loss"]),

  t: whole(0, 999, 0, ["loss"]),
  smooth: numeric(0, 0.5, 0, ["loss"]),

  run: word(["neuron", "logits", "plane", "network"], "logits", ["slow"]),
  m: numeric(0, 30, 12, ["slow"]),
  K: whole(2, 1000, 10, ["slow"]),
  eta: numeric(1e-4, 2 ** 16, 0.5, SLOW),
  loss: list(word(LOSSES), 1, LOSSES.length, ["ce", "se"], ["slow"]),
  rate: word(["same", "six", "best"], "same", ["slow"]),
  s: numeric(0, 30, 2, SLOW),
  step: whole(0, 2_000_000, 0, SLOW),

  data: word(DATA, "blobs3", ["plane"]),
  hidden: list(whole(1, 32), 0, 3, [], ["plane"]),
  act: word(["tanh", "relu", "sigmoid"], "tanh", ["plane"]),
  head: word(HEADS, "softmax_ce", ["plane"]),
  opt: word(["gd", "sgd", "momentum", "adam"], "gd", ["plane"]),
  l2: numeric(0, 10, 0, ["plane"]),
  seed: whole(0, 2 ** 32 - 1, 7, SLOW),
  n: whole(30, 1000, 300, ["plane"]),
  points: list(numeric(-1e9, 1e9), 0, 300, [], ["plane"]), // put in by hand: x, y, class and so on

  digit: whole(0, 9, 3, ["digit"]),
  layer: whole(0, 999, 0, ["digit"]),
  map: whole(0, 9999, 0, ["digit"]),
  class: either(["top"], 99_999, "top", ["digit", ...TRUST]),
  versus: either(["second", "none"], 99_999, "second", ["digit"]),
  d: letters(8192, "", ["digit"]),
  at: list(whole(0, 9999), 0, 2, [], ["digit"]), // row and column in the map; []: where it is strongest
  prep: word(["auto", "digit", "light", "dark"], "auto", ["digit"]),

  set: letters(64, "", TRUST), // "": the first evaluation set
  norm: word(["count", "row", "column"], "count", ["mistakes"]),
  cell: list(whole(0, 99_999), 0, 2, [], ["mistakes"]), // [] or [true class, predicted class]
  bins: whole(5, 30, 15, ["reliability"]),
  by: word(["width", "mass"], "width", ["reliability"]),
  score: word(["lac", "aps", "raps"], "lac", ["sets"]),
  alpha: whole(1, 50, 10, ["sets"]), // in percent
  lambda: numeric(0, 1, 0.01, ["sets"]), // of raps: what a class costs behind the first kreg
  kreg: whole(0, 20, 1, ["sets"]),
  calib: either(["role"], 2 ** 32 - 1, "role", TRUST), // the roles of the rows, or the seed of a random split
};
FIELDS.hide.item = word(Object.keys(FIELDS));

const PLAIN = /^[A-Za-z0-9_-]*$/;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const LONGEST_FRAGMENT = 20_000; // characters of a fragment that are looked at

/** The state of an empty address. */
export function initial() {
  return Object.fromEntries(Object.entries(FIELDS).map(([key, { fallback }]) => [key, fallback]));
}

/**
 * The canonical fragment of a state: keys in the order of the table, without those at their fallback.
 * @param {Object<string, *>} state values by key; keys that are absent count as their fallback
 * @returns {string} without "#"; "" for the initial state
 */
export function encode(state) {
  const parts = [];
  for (const [key, field] of Object.entries(FIELDS)) {
    const written = write(state[key] ?? field.fallback);
    if (field.kind === "text" && !PLAIN.test(written)) continue; // such as the name of a file: it stays here
    if (written !== write(field.fallback)) parts.push(`${key}=${written}`);
  }
  return parts.length === 0 ? "" : ["v=1", ...parts].join("&");
}

const write = (value) => (Array.isArray(value) ? value.map(String).join(",") : String(value));

/**
 * Read a fragment. Never throws: unknown keys are left out, numbers clamped, unreadable values fall back.
 * @param {string} fragment with or without "#"
 * @returns {{state: Object<string, *>, notices: {key: string, reason: string}[]}} all keys of the table; one notice
 *   for each key that is not as written, with reason "unreadable" or "clamped"
 */
export function decode(fragment) {
  const state = initial();
  const reasons = new Map();
  for (const part of fragment.replace(/^#/, "").slice(0, LONGEST_FRAGMENT).split("&")) {
    const cut = part.indexOf("=");
    const key = cut < 0 ? part : part.slice(0, cut);
    if (cut < 0 || !Object.hasOwn(FIELDS, key)) continue;
    const { value, reason } = read(FIELDS[key], plain(part.slice(cut + 1)));
    state[key] = reason === "unreadable" ? FIELDS[key].fallback : value;
    if (reason) reasons.set(key, reason);
    else reasons.delete(key);
  }
  return { state, notices: [...reasons].map(([key, reason]) => ({ key, reason })) };
}

function plain(written) {
  try {
    return decodeURIComponent(written);
  } catch {
    return null; // a broken percent escape: no kind can read it
  }
}

const UNREADABLE = { reason: "unreadable" };

function read(field, written) {
  if (written === null) return UNREADABLE;
  return READERS[field.kind](field, written);
}

function clamp(field, value) {
  const inside = Math.min(Math.max(value, field.low), field.high) + 0; // + 0: -0 is written as 0
  return inside === value ? { value: inside } : { value: inside, reason: "clamped" };
}

const READERS = {
  number(field, written) {
    if (!DECIMAL.test(written) || !Number.isFinite(Number(written))) return UNREADABLE;
    return clamp(field, Number(written));
  },
  integer(field, written) {
    if (!DECIMAL.test(written) || !Number.isInteger(Number(written))) return UNREADABLE;
    return clamp(field, Number(written));
  },
  word: (field, written) => (field.options.includes(written) ? { value: written } : UNREADABLE),
  either: (field, written) => (field.options.includes(written) ? { value: written } : READERS.integer(field, written)),
  text(field, written) {
    return written.length <= field.longest && PLAIN.test(written) ? { value: written } : UNREADABLE;
  },
  list(field, written) {
    const items = written === "" ? [] : written.split(",", field.most + 1).map((item) => read(field.item, item));
    if (items.length < field.least || items.length > field.most) return UNREADABLE;
    if (items.some(({ reason }) => reason === "unreadable")) return UNREADABLE;
    const reason = items.some((item) => item.reason === "clamped") ? "clamped" : undefined;
    return { value: items.map(({ value }) => value), reason };
  },
};
