/** The layers of a model: one tile each, and one of them opened with the arithmetic of one of its numbers. */
import { element } from "softclass/elements";
import { canvasFigure, figure } from "softclass/figure";
import { describe } from "softclass/digit_arithmetic";
import { mapsOf, strongestPlace } from "softclass/layer_terms";
import { svg } from "softclass/plots";
import { MOST_BARS, drawMaps, hues, pixelsOf, reach, signed } from "softclass/raster";

const TILE = 96; // pixels
const OVERVIEW = 336;
const LOW = 150; // height of the overview of few numbers
const MOST_TILE = 64; // maps in a tile
const MOST_OPEN = 256;
const MAP = 336;
const MOST_CELLS = 4096; // numbers in a table
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const sizeOf = (place, shape) =>
  shape.length === 3
    ? place.t("digit.maps", { count: place.integer(shape[0]), height: shape[1], width: shape[2] })
    : place.t("digit.numbers", { count: place.integer(shape[0]) });

/** What a layer is called. */
function layerName(place, layer) {
  return place.t(
    layer.kind === "opaque"
      ? `digit.kind.opaque.${layer.label === "waves" ? "waves" : "preprocessing"}`
      : `digit.kind.${layer.kind}`,
  );
}

/**
 * The strip of tiles, drawn from the list of layers.
 * @param {object} model answer of the source
 * @returns {{element: HTMLElement, show: function(object): void}} `show` takes a run of network_run.js and the
 *   pixels of the image, null for a table
 */
export function layerStrip(place, model) {
  const { t, store } = place;
  const tile = (shape, title, extra, attributes, tag) => {
    const canvas = element("canvas", { width: TILE, height: TILE, "aria-hidden": "true" });
    const words = [
      element("strong", title),
      element("span", sizeOf(place, shape)),
      ...(extra ? [element("span", extra)] : []),
    ];
    return { canvas, node: element(tag, { class: "layer-tile", ...attributes }, canvas, ...words) };
  };
  const tiles = model.layers.map((layer, i) => {
    const count = layer.parameters > 0 ? t("digit.parameters", { count: place.integer(layer.parameters) }) : "";
    const made = tile(layer.output, layerName(place, layer), count, { type: "button" }, "button");
    made.node.addEventListener("click", () => store.set({ layer: i, map: 0, at: [] }));
    return made;
  });
  const first = model.input.shape ? tile(model.input.shape, t("digit.kind.input"), "", {}, "div") : null;
  place.watch(["layer"], (layer) => {
    const chosen = Math.min(layer, tiles.length - 1);
    tiles.forEach(({ node }, i) => node.setAttribute("aria-pressed", String(i === chosen)));
  });
  const nodes = [...(first ? [first] : []), ...tiles].map(({ node }) => element("li", node));
  const list = element("ol.layer-tiles", ...nodes);
  const title = t("digit.layers.title", { count: model.layers.length, parameters: place.integer(model.parameters) });
  const card = element("section.card", element("h2", title), list, element("p.hint", t("digit.layers.hint")));
  card.hidden = store.get("hide").includes("layer");
  let drawn = { input: null, outputs: [] }; // a temperature changes the last tile only
  return {
    element: card,
    show(run, pixels) {
      const colours = hues();
      if (pixels !== null && run.input !== drawn.input) drawInput(first.canvas, pixels, model.input.shape);
      tiles.forEach(({ canvas }, i) => {
        if (run.outputs[i] === drawn.outputs[i]) return;
        const most = run.outputs[i].shape.length === 3 ? MOST_TILE : TILE * TILE;
        drawMaps(canvas, run.outputs[i], { most, colours });
      });
      drawn = run;
    },
  };
}

/** The image itself, as large as it fits. */
function drawInput(canvas, pixels, [channels, height, width]) {
  const scale = TILE / Math.max(height, width);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, TILE, TILE);
  const [w, h] = [width * scale, height * scale];
  context.drawImage(pixelsOf(pixels, height, width, channels), (TILE - w) / 2, (TILE - h) / 2, w, h);
}

/**
 * The opened layer: all its maps, one of them large, and what one of its numbers is made of.
 * @param {object} model answer of the source
 * @returns {{element: HTMLElement, show: function(object, object): void}} `show` takes a run and the classes looked at
 */
export function openedLayer(place, model) {
  const { t, store, number } = place;
  const heading = element("h2");
  const about = element("p.hint.about");
  const overview = element("canvas.overview", { width: OVERVIEW, height: OVERVIEW, role: "img" });
  const chooser = element("input", { type: "range", id: "map-slider", min: 0, step: 1 });
  const box = element("input", { type: "number", class: "box", min: 0, step: 1, "aria-label": t("digit.map") });
  const slider = element("div.control.slider", element("label", { for: "map-slider" }, t("digit.map")), chooser, box);
  const large = canvasFigure(place, { key: "digit-map", title: t("digit.map.title"), width: MAP, height: MAP });
  const field = large.canvas.parentElement;
  const arithmetic = figure(place, { key: "digit-arithmetic", title: t("digit.arithmetic"), width: 760, height: 190 });
  const sentence = element("p.digit-sum", { "aria-live": "off" });
  const left = element("div.stack", overview, slider);
  const both = element("div.figures", left, large.element);
  const card = element("section.card", heading, about, both, sentence, arithmetic.element);
  let seen = null; // what is looked at: {output, map, at}
  let drawn = []; // what the pictures show: layer, output, map, row, column
  let picker = () => null;

  for (const input of [chooser, box]) {
    input.addEventListener("input", () => {
      const wanted = Number(input.value);
      if (seen && input.value !== "" && Number.isInteger(wanted) && wanted >= 0 && wanted < mapsOf(seen.output).count)
        store.set({ map: wanted, at: [] });
    });
  }
  overview.addEventListener("click", (event) => {
    const scale = OVERVIEW / overview.getBoundingClientRect().width;
    const found = picker(event.offsetX * scale, event.offsetY * scale);
    if (found !== null) store.set({ map: found, at: [] });
  });
  Object.entries({ tabindex: 0, role: "group", "aria-label": t("digit.place.keys") }).forEach(([name, value]) =>
    field.setAttribute(name, value),
  );
  field.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || seen === null) return;
    event.preventDefault();
    const { height, width } = mapsOf(seen.output);
    const [row, column] = [seen.at[0] + step[0], seen.at[1] + step[1]];
    if (row < 0 || row >= height || column < 0 || column >= width) return;
    seen.at = [row, column]; // the next key may come before the next frame
    store.set({ at: seen.at });
  });
  field.addEventListener("click", (event) => {
    if (seen === null) return;
    const { height, width } = mapsOf(seen.output);
    const bounds = field.getBoundingClientRect();
    const scale = Math.min(bounds.width / width, bounds.height / height);
    const column = Math.floor((event.clientX - bounds.left - (bounds.width - width * scale) / 2) / scale);
    const row = Math.floor((event.clientY - bounds.top - (bounds.height - height * scale) / 2) / scale);
    if (row >= 0 && row < height && column >= 0 && column < width) store.set({ at: [row, column] });
  });

  function showMap({ output, map, at }, colours) {
    const { count, height, width } = mapsOf(output);
    const context = large.context;
    const scale = Math.min(MAP / width, MAP / height);
    const [x, y] = [(MAP - width * scale) / 2, (MAP - height * scale) / 2];
    context.fillStyle = `rgb(${colours.zero.join(" ")})`;
    context.fillRect(0, 0, MAP, MAP);
    context.imageSmoothingEnabled = false;
    context.drawImage(
      signed(output.data, map * height * width, height, width, reach(output.data), colours),
      x,
      y,
      width * scale,
      height * scale,
    );
    const frame = { x: x + at[1] * scale, y: y + at[0] * scale, width: scale, height: scale };
    large.overlay.replaceChildren(svg("rect.place-frame.outer", { ...frame }), svg("rect.place-frame", { ...frame }));
    const values = Array.from({ length: height }, (_, row) =>
      Array.from(output.data.subarray((map * height + row) * width, (map * height + row + 1) * width)),
    );
    const isShort = height * width <= MOST_CELLS;
    large.show({
      summary: t("digit.map.summary", {
        map, count, height, width, row: at[0], column: at[1], value: number(values[at[0]][at[1]], 4),
      }),
      columns: [t("digit.row"), ...Array.from({ length: isShort ? width : 1 }, (_, i) => String(i))],
      rows: isShort ? values.map((row, i) => [String(i), ...row]) : [[t("digit.map.large"), ""]],
    });
  }

  return {
    element: card,
    show(run, classes) {
      const index = Math.min(store.get("layer"), model.layers.length - 1);
      const [layer, output] = [model.layers[index], run.outputs[index]];
      const { count, height, width } = mapsOf(output);
      const map = Math.min(store.get("map"), count - 1);
      const chosen = store.get("at");
      const at =
        chosen.length === 2 && chosen[0] < height && chosen[1] < width ? chosen : strongestPlace(output, map);
      seen = { output, map, at };
      const wanted = [index, output, map, ...at];
      if (wanted.every((part, i) => part === drawn[i])) return; // a temperature changes the softmax only
      drawn = wanted;
      const colours = hues();
      heading.textContent = t("digit.opened", { name: layerName(place, layer), size: sizeOf(place, output.shape) });
      about.textContent = t(`digit.about.${layer.kind}`);
      const isOne = height * width === 1;
      overview.height = isOne && count <= MOST_BARS ? LOW : OVERVIEW;
      picker = drawMaps(overview, output, { most: isOne ? 16_384 : MOST_OPEN, colours, chosen: map }).at;
      overview.setAttribute("aria-label", t("digit.overview", { count, largest: number(reach(output.data), 3) }));
      slider.hidden = count === 1 || store.get("hide").includes("map");
      slider.querySelector("label").textContent = t(isOne ? "digit.unit" : "digit.map");
      for (const input of [chooser, box]) input.max = count - 1;
      chooser.value = map;
      if (document.activeElement !== box) box.value = map;
      large.element.hidden = isOne;
      if (!isOne) showMap(seen, colours);
      const shown = describe(place, model, run, index, map, at, classes);
      sentence.textContent = shown.sentence;
      arithmetic.element.hidden = shown.picture === null;
      if (shown.picture !== null) arithmetic.show(shown.picture);
    },
  };
}
