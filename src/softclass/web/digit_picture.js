/** The input of an image model: pad, examples, a picture of one's own, and what is made of them for the network. */
import { button, choice, fileBox } from "softclass/controls";
import { fitDigit, greyOf } from "softclass/digit";
import { element } from "softclass/elements";
import { createPad } from "softclass/pad";
import { PAD, strokesOf, textOf } from "softclass/pen";
import { resized } from "softclass/picture_size";
import { pixelsOf } from "softclass/raster";

// Pixels: larger pictures are first scaled down by the browser. Of a digit only the strokes count; other pictures must
// come to the network as in training, by one filter alone.
const [LARGEST_DIGIT, LARGEST] = [1024, 8192];
const EXAMPLES = 10;
const PREPARED = 140; // pixels on the page
// What somebody opened stays when the language changes; it never enters the address.
let opened = null;

/** Grey pixels as four numbers a pixel. */
function rgbaOf(grey) {
  return Uint8ClampedArray.from({ length: 4 * grey.length }, (_, at) => (at % 4 === 3 ? 255 : grey[at >> 2]));
}

/** Something that can be drawn, as pixels of four numbers. */
function readPicture(picture, largest) {
  const scale = Math.min(1, largest / Math.max(picture.width, picture.height));
  const canvas = element("canvas");
  canvas.width = Math.max(2, Math.round(picture.width * scale));
  canvas.height = Math.max(2, Math.round(picture.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/**
 * Examples for this model: the ten digits of the demo, or else rows of its own evaluation, one a class as far as they
 * go. Where there are no pictures of it there are no examples: digits would tell nothing of a model of clothes.
 * @returns {Promise<{pictures: HTMLCanvasElement[], names: string[], isOwn: boolean}>}
 */
async function examplesOf({ t, source }, model) {
  const named = (name, i) => t(name === undefined ? "digit.example" : "digit.example.of", { number: i, name });
  if (model.demo === true) {
    const { images } = await source.digits();
    const [count, tall, wide] = images.shape;
    const one = (i) => pixelsOf(images.subarray(i * tall * wide, (i + 1) * tall * wide), tall, wide, 1);
    const pictures = Array.from({ length: count }, (_, i) => one(i));
    return { pictures, names: pictures.map((_, i) => named(undefined, i)), isOwn: false };
  }
  for (const name of await source.evaluations()) {
    const { picture, n, targets, classes } = await source.evaluation(name);
    const all = Array.from({ length: n }, (_, row) => row);
    const isFirst = (row) => targets.indexOf(targets[row]) === row;
    const rows = [...all.filter(isFirst).sort((i, j) => targets[i] - targets[j]), ...all.filter((i) => !isFirst(i))];
    const found = rows.slice(0, EXAMPLES).map((row) => ({ row, made: picture(row) }));
    if (found.length === 0 || found.some(({ made }) => made === null)) continue;
    const names = found.map(({ row }, i) => named(classes[targets[row]], i));
    return { pictures: found.map(({ made }) => made), names, isOwn: true };
  }
  return { pictures: [], names: [], isOwn: false };
}

/** How a picture is prepared where nobody chose: as digits of 28 x 28 are, else as a whole. */
const usual = ([channels, height, width]) => (channels === 1 && height === 28 && width === 28 ? "digit" : "light");

/**
 * The card with the input.
 * @param {object} model answer of the source
 * @param {function(Uint8Array, {isFinal: boolean}): void} give takes the pixels for the network, height x width x
 *   channels; not final while a line is being drawn
 * @returns {Promise<{element: HTMLElement, result: HTMLElement, close: function}>} `result` is the place for the answer
 */
export async function pictureInput(place, model, give) {
  const { t, store } = place;
  const [channels, height, width] = model.input.shape;
  const { pictures: examples, names, isOwn } = await examplesOf(place, model);
  const trouble = element("p.notice.failed", { role: "status", hidden: true });
  const prepared = element("canvas.prepared", { width, height, role: "img", "aria-label": t("digit.prepared") });
  const scale = PREPARED / Math.max(width, height);
  Object.assign(prepared.style, { width: `${width * scale}px`, height: `${height * scale}px` });
  let current = null; // {strokes} or {picture, isRow}
  let written = null; // the text of the drawing on the pad, so that its own echo is known
  let isClosed = false;

  const pad = createPad(place, {
    change(strokes, isFinal) {
      opened = null;
      current = { strokes };
      prepare(isFinal);
      if (isFinal) keep(strokes);
    },
    example: examples.length > 0 ? (digit) => pick(digit) : null,
  });

  async function keep(strokes) {
    const text = await textOf(strokes);
    if (isClosed || current?.strokes !== strokes) return;
    written = text;
    store.set({ d: text, at: [] });
  }
  function pick(digit) {
    opened = null;
    written = "";
    store.set({ d: "", digit, at: [] });
    showExample(digit);
  }
  function showPicture(picture, isRow = false) {
    current = { picture, isRow };
    pad.back(picture);
    prepare(true);
  }
  const exampleOf = (digit) => examples[Math.min(digit, examples.length - 1)];
  function showExample(digit) {
    if (examples.length > 0) {
      showPicture(exampleOf(digit), isOwn);
      return;
    }
    current = { strokes: [] };
    pad.show([]);
    prepare(true);
  }

  function networkInput() {
    // A row of the evaluation is what the model takes already.
    const auto = current.isRow ? "light" : usual(model.input.shape);
    const way = store.get("prep") === "auto" ? auto : store.get("prep");
    const side = Math.min(height, width);
    const picture = current.picture ? readPicture(current.picture, way === "digit" ? LARGEST_DIGIT : LARGEST) : null;
    if (way !== "digit") {
      const found = resized(
        picture ?? { data: rgbaOf(pad.pixels()), height: PAD, width: PAD },
        model.input.shape,
        model.input.resize ?? "crop",
      );
      return way === "dark" ? found.map((value) => 255 - value) : found;
    }
    const fitted =
      picture === null
        ? fitDigit(pad.pixels(), PAD, PAD, side)
        : fitDigit(greyOf(picture.data), picture.height, picture.width, side);
    const [top, left] = [(height - side) >> 1, (width - side) >> 1];
    const found = new Uint8Array(height * width * channels);
    fitted.forEach((value, at) => {
      const to = ((top + Math.floor(at / side)) * width + left + (at % side)) * channels;
      found.fill(value, to, to + channels);
    });
    return found;
  }
  function prepare(isFinal) {
    if (current === null) return;
    const pixels = networkInput();
    prepared.getContext("2d").drawImage(pixelsOf(pixels, height, width, channels), 0, 0);
    give(pixels, { isFinal });
  }

  async function take(file) {
    trouble.hidden = true;
    try {
      const found = await place.source.dropped(file);
      if (isClosed) return;
      if (found.kind !== "image") throw new Error(t("digit.file.no_image", { name: file.name }));
      opened = found.picture;
      written = "";
      store.set({ d: "", at: [] });
      showPicture(opened);
    } catch (error) {
      trouble.textContent = error.message;
      trouble.hidden = false;
    }
  }

  let last = null; // the example that the address names
  place.watch(["d", "digit"], async (text, digit) => {
    const isSame = digit === last;
    last = digit;
    if (text === "") {
      // An empty pad has no text either: it stays empty until somebody asks for an example.
      const isShown = written === "" && isSame && current !== null;
      written = "";
      if (isShown || (current?.picture && current.picture === exampleOf(digit))) return;
      if (opened === null) showExample(digit);
      else showPicture(opened);
      return;
    }
    if (text === written) return;
    const strokes = await strokesOf(text);
    if (isClosed || store.get("d") !== text) return;
    written = text;
    trouble.hidden = strokes !== null;
    trouble.textContent = t("digit.unreadable");
    if (strokes === null) {
      showExample(digit);
      return;
    }
    opened = null;
    pad.show(strokes);
    current = { strokes };
    prepare(true);
  });
  place.watch(["prep"], () => prepare(true));

  const buttons = examples.map((picture, i) => {
    const made = button(place, { label: "", press: () => pick(i), kind: "example" });
    const copy = element("canvas", { width: picture.width, height: picture.height, "aria-hidden": "true" });
    copy.getContext("2d").drawImage(picture, 0, 0);
    made.append(copy);
    made.setAttribute("aria-label", names[i]);
    return made;
  });
  const row = element("div.digit-examples", { role: "group", "aria-label": t("digit.examples") }, ...buttons);
  row.hidden = examples.length === 0 || store.get("hide").includes("digit");
  pad.element.hidden = store.get("hide").includes("d");
  const ways = ["digit", "light", "dark"].map((value) => ({ value, label: t(`digit.prep.${value}`) }));
  ways.unshift({ value: "auto", label: t("digit.prep.auto", { way: t(`digit.prep.${usual(model.input.shape)}`) }) });
  const [{ width: wide, height: tall }] = examples.length > 0 ? examples : [{}];
  const isWhole = wide === width && tall === height;
  const hint = isOwn ? t(isWhole ? "digit.rows.whole" : "digit.rows.reduced", { width: wide, height: tall }) : "";
  const result = element("div.digit-answer");
  const facts = t("digit.prepared.size", { width, height, channels });
  const shown = element("div.prepared-place", prepared, element("p", t("digit.prepared"), element("small", facts)));
  const card = element(
    "section.card.digit-input",
    { "aria-label": t("digit.input") },
    pad.element,
    element("div.stack", element("div.prepared-row", shown, result), row, trouble,
      element("div.controls",
        choice(place, { key: "prep", label: t("digit.prep"), options: ways, as: "select", hint }),
        fileBox(place, { label: t("digit.file"), hint: t("digit.file.hint"), accept: "image/*", take })),
    ),
  );
  return {
    element: card,
    result,
    close() {
      isClosed = true;
    },
  };
}
