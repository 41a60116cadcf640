// One function for node and for the browser: it does a task with the modules of the page and returns plain values.
async ({ task, given }) => {
  const { fitDigit, greyOf } = await import("softclass/digit");
  const { resized } = await import("softclass/picture_size");
  const { createNetwork, evidenceMap, scalePixels } = await import("softclass/network");
  const pen = await import("softclass/pen");
  const { unpacked } = await import("softclass/arrays");
  const { sourceOf, strongestPlace, mapsOf, termsOf } = await import("softclass/layer_terms");

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const TASKS = {
    fit: ({ pictures }) => pictures.map(({ grey, height, width, side }) => [...fitDigit(bytes(grey), height, width, side)]),
    grey: ({ rgba }) => [...greyOf(rgba)],
    resized: ({ rgba, height, width, shape, way }) => [...resized({ data: bytes(rgba), height, width }, shape, way)],
    painted: ({ strokes, brush }) => [...pen.painted(strokes, brush)],
    fitted: ({ drawings, brush }) => drawings.map((strokes) => [...fitDigit(pen.painted(strokes, brush), pen.PAD, pen.PAD)]),
    text: async ({ strokes }) => {
      const text = await pen.textOf(strokes);
      return { text, strokes: text === "" ? null : await pen.strokesOf(text) };
    },
    strokes: ({ texts }) => Promise.all(texts.map((text) => pen.strokesOf(text))),
    /** What some numbers of every layer are made of, the largest of each map among them. */
    terms: ({ layers, arrays, shape, input }) => {
      const weights = Object.fromEntries(
        Object.entries(arrays).map(([name, { data, shape: sides }]) => [name, Object.assign(Float32Array.from(data), { shape: sides })]),
      );
      const result = createNetwork(layers, weights, shape).forward(input);
      const run = { layers, arrays: weights, input: result.input, outputs: result.outputs };
      return layers.flatMap((layer, index) => {
        const { count, height, width } = mapsOf(run.outputs[index]);
        const places = (map) => [[0, 0], [height - 1, width - 1], strongestPlace(run.outputs[index], map)];
        const maps = [0, count - 1];
        const source = [...sourceOf(run, index).data];
        return maps.flatMap((map) => places(map).map((at) => ({ index, map, at, source, ...termsOf(run, index, map, at) })));
      });
    },
    linear: async ({ bundle }) => {
      const { logits } = (await unpacked(new Blob([bytes(bundle)]).stream()))["evaluation:digits-softmax"];
      return Array.from({ length: logits.shape[0] }, (_, row) => [...logits.slice(10 * row, 10 * row + 10)]);
    },
    /** Logits and, for every class, the sum of its evidence map with its bias. */
    logits: async ({ bundle, images }) => {
      const { model, weights } = await unpacked(new Blob([bytes(bundle)]).stream());
      const network = createNetwork(model.layers, weights, model.input.shape);
      return images.map((image) => {
        const pixels = scalePixels(bytes(image), model.input.shape, model.input.mean, model.input.std);
        const result = network.forward(pixels);
        const split = model.classes.map((_, k) => evidenceMap(network, result, weights, k));
        return {
          logits: Array.from(result.logits, (logit) => logit / model.temperature),
          evidence: split.map(({ logit }) => logit / model.temperature),
          shapes: split.map(({ shape }) => shape),
        };
      });
    },
  };
  return TASKS[task](given);
};
