// One function for node and for the browser: it does a task with the trust modules of the page and returns plain values.
async ({ task, given }) => {
  const trust = await import("softclass/trust");
  const conformal = await import("softclass/prediction_sets");

  /** JSON has no infinity. */
  const plain = (value) => (value === Infinity ? "inf" : value);
  const opened = ({ classes, logits, targets, role, u, top = null }, unit = 1) => {
    const width = logits.length / targets.length;
    const data = Float64Array.from(logits, (value) => value / unit);
    const names = Array.from({ length: classes }, (_, k) => `class ${k}`);
    const numbers = u === null ? null : Float64Array.from(u, (value) => value / unit);
    return { n: targets.length, classes: names, logits: { data, shape: [targets.length, width] }, targets, role, u: numbers, top };
  };
  const of = (evaluation) => {
    const { calibration, test } = trust.split(evaluation, "role");
    return { calibration: trust.rowsOf(evaluation, calibration), test: trust.rowsOf(evaluation, test) };
  };
  const rightOf = (rows, found) => Uint8Array.from(rows.targets, (target, i) => (target === found.predicted[i] ? 1 : 0));

  const metrics = (rows, T, numbers) => {
    const found = trust.atTemperature(rows, T);
    const right = rightOf(rows, found);
    const ece = (values, came, number, by) => trust.ece(trust.bins(values, came, { number, by }));
    const { value, knownRows } = trust.logLoss(found);
    const isClass = (k) => Uint8Array.from(rows.targets, (target) => (target === k ? 1 : 0));
    return {
      temperature: T,
      log_loss: plain(value),
      log_loss_known_rows: knownRows,
      brier: trust.brier(found),
      ece_width: numbers.map((number) => ece(found.confidence, right, number, "width")),
      ece_mass: numbers.map((number) => ece(found.confidence, right, number, "mass")),
      ece_of_classes: Array.from({ length: rows.classes }, (_, k) => ece(trust.ofClass(rows, found, k), isClass(k), 15, "width")),
      ece_mass_of_class_0: ece(trust.ofClass(rows, found, 0), isClass(0), 15, "mass"),
    };
  };
  const setsAt = ({ calibration, test }, { T, method, alpha, penalty, free }) => {
    const scores = (rows) => conformal.setScores(rows, trust.atTemperature(rows, T).p, T, method, { penalty, free });
    const own = conformal.ownScores(calibration, scores(calibration));
    const limit = conformal.quantile(own, alpha);
    const inside = scores(test);
    const found = conformal.sets(test, inside, limit);
    const members = Array.from({ length: test.n }, (_, i) => conformal.members(test, inside, limit, i));
    return { own, limit, found, members };
  };

  const tasks = {
    /** Everything of a set of the golden file. */
    golden({ set, unit, bins, raps, temperatures, methods, alphas }) {
      const parts = of(opened(set, unit));
      const found = trust.atTemperature(parts.test);
      const counts = trust.confusion(parts.test.targets, found.predicted, set.classes);
      const square = Array.from({ length: set.classes }, (_, i) => Array.from({ length: set.classes }, (__, j) => counts.count(i, j)));
      const sets = [];
      for (const T of temperatures) {
        for (const method of methods) {
          for (const alpha of alphas) {
            const made = setsAt(parts, { T, method, alpha, penalty: raps[0], free: raps[1] });
            const sizes = Array.from({ length: set.classes + 1 }, (_, size) => made.found.histogram[size] ?? 0);
            sets.push({
              rank: conformal.rank(parts.calibration.n, alpha),
              quantile: plain(made.limit),
              covered: made.found.covered,
              empty: made.found.empty,
              mean_size: made.found.meanSize,
              sizes,
              class_covered: made.found.byClass.map(({ covered }) => covered),
              class_mean_sizes: made.found.byClass.map(({ n, size }) => (n === 0 ? null : size / n)),
              temperature: T,
              method,
              alpha,
            });
          }
        }
      }
      return {
        smoothed_temperature: trust.fitTemperature(parts.calibration, { smooth: true }),
        temperature: trust.fitTemperature(parts.calibration),
        confusion: square,
        metrics: temperatures.map((T) => metrics(parts.test, T, bins)),
        sets,
        bands: alphas.map((alpha) => conformal.coverageBand(parts.calibration.n, alpha)),
      };
    },
    ranks: ({ most }) => Array.from({ length: most }, (_, n) => Array.from({ length: 99 }, (__, a) => conformal.rank(n + 1, a + 1))),
    bands: ({ pairs }) => pairs.map(([n, alpha]) => conformal.coverageBand(n, alpha)),
    cumulative: ({ points }) => points.map(([x, a, b]) => conformal.betaCumulative(x, a, b)),
    nullBand: ({ confidence, number, by, draws, seed }) => trust.nullBand(Float64Array.from(confidence), { number, by }, { draws, seed }),
    bins: ({ confidence, right, number, by }) => trust.bins(Float64Array.from(confidence), right, { number, by }),
    pairs: ({ targets, predicted, classes, most }) => {
      const found = trust.confusion(targets, predicted, classes);
      return {
        pairs: trust.topPairs(found, most),
        classes: Array.from({ length: classes }, (_, k) => trust.perClass(found, k)),
        unknown: found.unknown,
      };
    },
    split: ({ n, role, by }) => {
      const { calibration, test } = trust.split({ n, role }, by);
      return { calibration: [...calibration], test: [...test] };
    },
    curve: ({ set, unit, betas, smooth }) => {
      const { at } = trust.lossOfBeta(of(opened(set, unit)).calibration, { smooth });
      return betas.map(at);
    },
    /** Losses, predictions and sets of rows that may hold only their largest logits. */
    compact: ({ set, T, method, alpha }) => {
      const parts = of(opened(set));
      const found = trust.atTemperature(parts.test, T);
      const made = setsAt(parts, { T, method, alpha });
      return {
        loss: [...found.loss],
        brier: [...found.brier],
        confidence: [...found.confidence],
        predicted: [...found.predicted],
        temperature: trust.fitTemperature(parts.calibration),
        own: [...made.own],
        covered: made.found.covered,
        meanSize: made.found.meanSize,
        members: made.members,
      };
    },
    /** Milliseconds of a reliability diagram with its metrics from logits: the best of the repeats. */
    speed: ({ n, classes, repeats }) => {
      const targets = Int32Array.from({ length: n }, (_, i) => i % classes);
      const logits = Float32Array.from({ length: n * classes }, (_, i) => 3 * Math.sin(i * i + 0.1 * i));
      const rows = trust.rowsOf({ ...opened({ classes, logits, targets, role: new Uint8Array(n), u: [...targets].map(() => 0.5) }), logits: { data: logits, shape: [n, classes] } });
      const times = [];
      for (let repeat = 0; repeat < repeats; repeat += 1) {
        const start = performance.now();
        const found = trust.atTemperature(rows, 1 + repeat / 100);
        trust.ece(trust.bins(found.confidence, rightOf(rows, found)));
        trust.logLoss(found);
        trust.brier(found);
        times.push(performance.now() - start);
      }
      return Math.min(...times);
    },
  };
  return tasks[task](given);
};
