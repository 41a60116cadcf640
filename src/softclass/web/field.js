/** Fields of the plane as small pictures: the hue tells the class that wins, its strength how sure it is. */

const FAINTEST = 0.14; // share of the colour of the class where all classes are as likely as each other
const STRONGEST = 0.72; // and where the largest output is 1

/** Red, green and blue of a colour of the style sheet, 0 to 255 each. */
function parts(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour; // reads back as #rrggbb whatever way it was written
  return [1, 3, 5].map((at) => Number.parseInt(context.fillStyle.slice(at, at + 2), 16));
}

const mixed = (from, to, share) => from.map((part, i) => part + share * (to[i] - part));

/** An address of a picture of `width` x `height` pixels; `colourAt(place)` gives [r, g, b], or null for see-through. */
function pictureOf(width, height, colourAt) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    const colour = colourAt(place);
    if (colour !== null) image.data.set([...colour, 255], 4 * place);
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL("image/png");
}

/**
 * The picture of a field.
 * @param {{side: number, classes: Uint8Array, outputs: Float32Array}} field - of softclass/plane
 * @param {{paper: string, classes: string[]}} colours - palette() of softclass/plots
 * @returns {string} a data: address, one pixel a cell
 */
export function fieldImage({ side, classes, outputs }, nClasses, colours) {
  const paper = parts(colours.paper);
  const inks = colours.classes.map(parts);
  const even = 1 / nClasses; // no largest probability is below this; a largest sigmoid output may be
  return pictureOf(side, side, (place) => {
    const sure = Math.max(0, (outputs[place] - even) / (1 - even));
    return mixed(paper, inks[classes[place] % inks.length], FAINTEST + (STRONGEST - FAINTEST) * sure);
  });
}

/**
 * The pictures of hidden units beside each other: one hue above the middle of the activation, another below.
 * @param {{values: Float32Array}[]} units - of one layer, see softclass/plane
 * @param {{activation: string, side: number, columns: number, colours: object}} parts - `columns` tiles a row
 * @returns {{href: string, width: number, height: number}} a data: address and its size in pixels; a tile is `side`
 *   pixels wide, with one pixel of nothing between tiles
 */
export function unitsImage(units, { activation, side, columns, colours }) {
  const pitch = side + 1;
  const width = pitch * columns - 1;
  const height = pitch * Math.ceil(units.length / columns) - 1;
  const paper = parts(colours.paper);
  const [below, above] = [parts(colours.classes[1]), parts(colours.classes[0])];
  const largest = units.map(({ values }) => values.reduce((most, value) => Math.max(most, value), 0));
  // tanh runs from -1 to 1, sigmoid from 0 to 1 around 1/2; ReLU has no end, so each unit is measured by its largest.
  const strength = (unit, value) => {
    if (activation === "relu") return largest[unit] > 0 ? value / largest[unit] : 0;
    return activation === "sigmoid" ? 2 * value - 1 : value;
  };
  const href = pictureOf(width, height, (place) => {
    const [x, y] = [place % width, Math.floor(place / width)];
    const unit = Math.floor(y / pitch) * columns + Math.floor(x / pitch);
    if (x % pitch === side || y % pitch === side || unit >= units.length) return null;
    const signed = strength(unit, units[unit].values[(y % pitch) * side + (x % pitch)]);
    return mixed(paper, signed < 0 ? below : above, 0.85 * Math.abs(signed));
  });
  return { href, width, height };
}
