// One function for node and for the browser: it does a task with the modules of the page and returns plain values.
async ({ task, given }) => {
  const { HEADS, headLoss, headOutputs } = await import("softclass/heads");
  const { createMlp, lossOf } = await import("softclass/mlp");
  const { createNetwork, evidenceMap, isKnown, scalePixels } = await import("softclass/network");
  const plane = await import("softclass/plane");
  const points = await import("softclass/points");
  const csv = await import("softclass/csv");
  const loss = await import("softclass/loss");

  const drawn = ({ name, n, seed }) => points.drawnSet(name, n, seed);
  const list = (part) => part && { features: [...part.features], targets: [...part.targets] };
  const plain = (set) => ({ ...set, training: list(set.training), validation: list(set.validation) });
  const typed = (part) => ({ features: Float64Array.from(part.features), targets: Int32Array.from(part.targets) });
  const all = (steps) => {
    for (;;) {
      const { value, done } = steps.next();
      if (done) return value;
    }
  };
  const failing = (work) => {
    try {
      return { value: work() };
    } catch (error) {
      return { error: error.name, message: error.message, reason: error.reason, values: error.values };
    }
  };
  const shaped = (arrays) =>
    Object.fromEntries(
      Object.entries(arrays).map(([name, { data, shape }]) => [name, Object.assign(Float32Array.from(data), { shape })]),
    );

  const TASKS = {
    heads({ rows }) {
      return HEADS.map((head) =>
        rows.map(([logits, target]) => {
          const z = Float64Array.from(logits);
          const gradient = new Float64Array(z.length);
          const outputs = new Float64Array(z.length);
          const value = headLoss(head, z, target, gradient);
          headOutputs(head, z, outputs);
          const twin = { softmax_ce: loss.crossEntropy, softmax_se: loss.squaredError }[head]?.(logits, target);
          return { loss: value, gradient: [...gradient], outputs: [...outputs], twin };
        }),
      );
    },
    gradient({ sizes, activation, head, parameters, training, step }) {
      const mlp = createMlp(sizes, activation);
      mlp.parameters.set(parameters);
      const gradient = new Float64Array(mlp.parameters.length);
      const set = typed(training);
      const value = lossOf(mlp, head, set, null, gradient).loss;
      const differences = parameters.map((old, at) => {
        const seen = [old + step, old - step].map((moved) => {
          mlp.parameters[at] = moved;
          return lossOf(mlp, head, set, null, null).loss;
        });
        mlp.parameters[at] = old;
        return (seen[0] - seen[1]) / (2 * step);
      });
      return { loss: value, gradient: [...gradient], differences };
    },
    train({ data, settings, epochs }) {
      const set = drawn(data);
      const trace = [];
      for (const { epoch, loss: value, accuracy, validationLoss, validationAccuracy, mlp } of plane.train(set, settings)) {
        trace.push([value, accuracy, validationLoss, validationAccuracy]);
        if (epoch === epochs) return { set: plain(set), trace, parameters: [...mlp.parameters] };
      }
      return { set: plain(set), trace, parameters: null };
    },
    ending({ data, settings }) {
      return all(plane.train(drawn(data), settings));
    },
    compare({ data, settings, patience }) {
      const set = drawn(data);
      const margin = plane.meanMargin(set, plane.started(set, settings));
      return { margin, heads: all(plane.compareHeads(set, settings, patience)) };
    },
    set: ({ data }) => plain(drawn(data)),
    table: ({ rows, seed }) => plain(points.tableSet("own", rows, seed)),
    added: ({ data, added }) => plain(points.withAdded(data ? drawn(data) : points.emptySet(), added)),
    ties({ parameters, nClasses, set, box }) {
      const mlp = createMlp([2, nClasses], "tanh");
      mlp.parameters.set(parameters);
      return plane.tieLines(mlp, set, box);
    },
    field({ parameters, nClasses, head, set, box, side }) {
      const mlp = createMlp([2, nClasses], "tanh");
      mlp.parameters.set(parameters);
      const { classes, outputs } = all(plane.fieldOf(mlp, head, set, box, side));
      return { classes: [...classes], outputs: [...outputs] };
    },
    units({ sizes, activation, parameters, set, box, side }) {
      const mlp = createMlp(sizes, activation);
      mlp.parameters.set(parameters);
      return plane.unitFields(mlp, set, box, side).map((field) => ({ ...field, values: [...field.values] }));
    },
    forward({ layers, arrays, input, values }) {
      const decoded = shaped(arrays);
      const network = createNetwork(layers, decoded, input);
      const result = network.forward(Float32Array.from(values));
      const outputs = result.outputs.map(({ shape, data }) => ({ shape, data: [...data] }));
      const evidence = [...result.logits].map((_, k) => {
        const found = evidenceMap(network, result, decoded, k);
        return found && { ...found, map: [...found.map] };
      });
      return { known: isKnown(layers), outputs, logits: [...result.logits], evidence };
    },
    refused: ({ layers, arrays, input, values }) =>
      failing(() => createNetwork(layers, shaped(arrays), input).forward(values)),
    pixels: ({ values, shape, mean, std }) => [...scalePixels(values, shape, mean, std)],
    csv: ({ text, most }) => failing(() => csv.readCsv(text, most)),
    column: ({ text, name, gaps }) => failing(() => [...csv.numbersOf(csv.readCsv(text), name, { gaps })]),
    missing: ({ cell }) => csv.isMissing(cell),
    numeric: ({ text }) => csv.numberColumns(csv.readCsv(text)),
    time({ layers, arrays, input, values, rounds }) {
      const network = createNetwork(layers, shaped(arrays), input);
      const image = Float32Array.from(values);
      for (let i = 0; i < 30; i += 1) network.forward(image);
      const spent = Array.from({ length: rounds }, () => {
        const start = performance.now();
        network.forward(image);
        return performance.now() - start;
      });
      return spent.sort((a, b) => a - b)[Math.floor(rounds / 2)];
    },
  };
  return TASKS[task](given);
}
