/**
 * Points of the plane with a class each: drawn from a seed, or taken from a table.
 *
 * A set is `{name, training, validation, classes, axes, middles, shift, scale}`: `training` and `validation` are
 * `{features, targets}` (two numbers a point, one after the other; validation may be null), `axes` the names of the two
 * numbers ("" for drawn ones), `middles` one [x, y] a class in the units the network sees, which are
 * (value - shift) / scale axis by axis. Drawn sets have shift 0 and scale 1. `given` is how many of the training points
 * were not put in by hand; absent, all.
 */
import { generator } from "softclass/random";
import { letter } from "softclass/text";

/** Sets that are drawn. */
export const DRAWN = ["blobs3", "blobs4", "blobs5", "moons", "rings", "spiral"];

const RADIUS = 2; // of the circle on which the middles of the blobs stand
const SPREAD = 0.6; // standard deviation of a blob
const HELD_OUT = 0.3; // share of the rows of a table that are kept for validation
const ENOUGH = 20; // rows below which none are kept

/** One point of class k of a drawn set; `i` of `n` points of the class. */
const SHAPES = {
  blobs3: { classes: 3, point: blob },
  blobs4: { classes: 4, point: blob },
  blobs5: { classes: 5, point: blob },
  moons: { classes: 2, point: moon },
  rings: { classes: 3, point: ring },
  spiral: { classes: 3, point: arm },
};

/**
 * Draw a set, class by class; the validation points follow from the same generator, as many again.
 * @param {string} name - one of DRAWN
 * @param {number} n - points to train on, spread evenly over the classes (the nearest whole number a class)
 * @returns {object} a set
 */
export function drawnSet(name, n, seed) {
  const { classes, point } = SHAPES[name];
  const random = generator(seed);
  const each = Math.max(1, Math.round(n / classes));
  const draw = () => {
    const features = new Float64Array(2 * classes * each);
    const targets = new Int32Array(classes * each);
    for (let row = 0; row < targets.length; row += 1) {
      targets[row] = Math.floor(row / each);
      features.set(point(targets[row], classes, row % each, each, random), 2 * row);
    }
    return { features, targets };
  };
  const training = draw();
  const isBlob = name.startsWith("blobs");
  const middles = isBlob ? Array.from({ length: classes }, (_, k) => middleOfBlob(k, classes)) : null;
  return {
    name,
    training,
    validation: draw(),
    classes: Array.from({ length: classes }, (_, k) => letter(k)),
    axes: ["", ""],
    middles: middles ?? meansOf(training, classes),
    shift: [0, 0],
    scale: [1, 1],
  };
}

/**
 * A set from rows of a table: both numbers are shifted and scaled to mean 0 and standard deviation 1 for the network.
 * @param {{features: ArrayLike<number>, targets: ArrayLike<number>, classes: string[], axes: string[]}} rows - all
 *   finite; targets count from 0
 * @param {number} seed - decides which rows are kept for validation: none of fewer than 20
 * @returns {object} a set
 */
export function tableSet(name, { features, targets, classes, axes }, seed) {
  const n = targets.length;
  const kept = n < ENOUGH ? 0 : Math.round(n * HELD_OUT);
  const order = kept === 0 ? Array.from({ length: n }, (_, i) => i) : generator(seed).permutation(n);
  const take = (rows) => ({
    features: Float64Array.from(rows.flatMap((row) => [features[2 * row], features[2 * row + 1]])),
    targets: Int32Array.from(rows.map((row) => targets[row])),
  });
  const ascending = (rows) => rows.sort((a, b) => a - b);
  const training = take(ascending(order.slice(kept)));
  const validation = kept === 0 ? null : take(ascending(order.slice(0, kept)));
  return { name, training, validation, classes, axes, ...unitsOf(training, classes.length) };
}

/**
 * The same set with points put in by hand, to train on.
 * @param {number[]} added - x, y, class and so on, in the units of the data; an unfinished triple is left out
 * @returns {object} a new set with as many classes as the added points need
 */
export function withAdded(set, added) {
  const count = Math.floor(added.length / 3);
  if (count === 0) return set;
  const old = set.training.targets.length;
  const features = new Float64Array(2 * (old + count));
  const targets = new Int32Array(old + count);
  features.set(set.training.features);
  targets.set(set.training.targets);
  const classes = [...set.classes];
  for (let i = 0; i < count; i += 1) {
    features.set(added.slice(3 * i, 3 * i + 2), 2 * (old + i));
    targets[old + i] = added[3 * i + 2];
    while (classes.length <= targets[old + i]) classes.push(letter(classes.length));
  }
  const training = { features, targets };
  // Blobs keep their middles, so that a few points put in do not move the start of the run.
  const middles = meansOf(inUnits(training, set), classes.length);
  set.middles.forEach((middle, k) => (middles[k] = middle));
  return { ...set, training, classes, middles, given: old };
}

/** An empty set, to be filled by hand: two classes, drawn units. */
export function emptySet() {
  const training = { features: new Float64Array(0), targets: new Int32Array(0) };
  const classes = [letter(0), letter(1)];
  const units = { middles: [], shift: [0, 0], scale: [1, 1] };
  return { name: "own", training, validation: null, classes, axes: ["", ""], ...units };
}

/** The three rows of the source article: feature 1, feature 2, class. */
export const ARTICLE = { features: [5.1, 3.5, 4.9, 3.0, 6.2, 2.9], targets: [0, 1, 2], classes: ["A", "B", "C"] };

/**
 * Points in the units the network sees.
 * @param {{features: Float64Array, targets: Int32Array}} points
 * @param {{shift: number[], scale: number[]}} set
 * @returns {{features: Float64Array, targets: Int32Array}}
 */
export function inUnits({ features, targets }, { shift, scale }) {
  return { features: features.map((value, at) => (value - shift[at % 2]) / scale[at % 2]), targets };
}

/**
 * The box that a picture of a set shows: all points but those by hand, with a margin; for a drawn set at least -3.5 to
 * 3.5.
 * @returns {{x: [number, number], y: [number, number]}}
 */
export function boxOf(set) {
  const isDrawn = set.scale[0] === 1 && set.scale[1] === 1 && set.shift[0] === 0 && set.shift[1] === 0;
  const box = [0, 1].map((axis) => {
    let [low, high] = isDrawn ? [-3.5, 3.5] : [Infinity, -Infinity];
    const given = set.training.features.subarray(0, 2 * (set.given ?? set.training.targets.length));
    for (const features of [given, set.validation === null ? [] : set.validation.features]) {
      for (let at = axis; at < features.length; at += 2) {
        low = Math.min(low, features[at]);
        high = Math.max(high, features[at]);
      }
    }
    const margin = high > low ? 0.08 * (high - low) : Math.max(Math.abs(high), 1) * 0.5;
    return [low - margin, high + margin];
  });
  return { x: box[0], y: box[1] };
}

function unitsOf(training, nClasses) {
  const shift = [0, 0];
  const scale = [1, 1];
  const n = training.targets.length;
  for (let axis = 0; axis < 2; axis += 1) {
    for (let row = 0; row < n; row += 1) shift[axis] += training.features[2 * row + axis] / n;
    let square = 0;
    for (let row = 0; row < n; row += 1) square += (training.features[2 * row + axis] - shift[axis]) ** 2 / n;
    scale[axis] = square > 0 ? Math.sqrt(square) : 1;
  }
  return { shift, scale, middles: meansOf(inUnits(training, { shift, scale }), nClasses) };
}

function meansOf({ features, targets }, nClasses) {
  const sums = Array.from({ length: nClasses }, () => [0, 0, 0]);
  targets.forEach((k, row) => {
    sums[k][0] += features[2 * row];
    sums[k][1] += features[2 * row + 1];
    sums[k][2] += 1;
  });
  return sums.map(([x, y, n]) => (n === 0 ? [0, 0] : [x / n, y / n]));
}

function middleOfBlob(k, classes) {
  const angle = Math.PI / 2 + (2 * Math.PI * k) / classes;
  return [RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)];
}

function blob(k, classes, _i, _n, random) {
  const [x, y] = middleOfBlob(k, classes);
  return [x + SPREAD * random.normal(), y + SPREAD * random.normal()];
}

/** Two half circles that reach into each other. */
function moon(k, _classes, i, n, random) {
  const angle = (Math.PI * (i + 0.5)) / n;
  const [x, y] = k === 0 ? [Math.cos(angle), Math.sin(angle)] : [1 - Math.cos(angle), 0.5 - Math.sin(angle)];
  return [2 * (x - 0.5) + 0.22 * random.normal(), 2 * (y - 0.25) + 0.22 * random.normal()];
}

function ring(k, _classes, i, n, random) {
  const angle = (2 * Math.PI * (i + 0.5)) / n;
  const radius = 0.4 + 1.1 * k + 0.18 * random.normal();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** An arm of a spiral, two thirds of a turn. */
function arm(k, classes, i, n, random) {
  const part = (i + 0.5) / n;
  const angle = (2 * Math.PI * k) / classes + 4.4 * part + 0.14 * random.normal();
  const radius = 0.3 + 2.6 * part;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}
