// One function for node and for the browser: calls functions of the modules; NaN and infinities travel as text.
async ({ task, given }) => {
  const FROM = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  const revive = (value) => {
    if (Array.isArray(value)) return value.map(revive);
    if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)]));
    return typeof value === "string" && value in FROM ? FROM[value] : value;
  };
  const plain = (value) => {
    if (typeof value === "number" && !Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
    if (ArrayBuffer.isView(value)) return plain([...value]);
    if (Array.isArray(value)) return value.map(plain);
    if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
    return value ?? null;
  };
  const modules = new Map();
  const load = async (name) => {
    if (!modules.has(name)) modules.set(name, await import(`softclass/${name}`));
    return modules.get(name);
  };
  const random = await load("random");
  const slow = await load("slow_learning");
  const make = (kind, options) => slow[kind](options);
  const all = (steps) => {
    for (;;) {
      const { value, done } = steps.next();
      if (done) return value;
    }
  };

  const TASKS = {
    async calls({ requests }) {
      const answers = [];
      for (const [module, name, args] of requests) {
        const found = (await load(module))[name];
        answers.push(plain(typeof found === "function" ? found(...revive(args)) : found));
      }
      return answers;
    },
    draws: ({ seed, kind, count }) => {
      const generator = random.generator(seed);
      return Array.from({ length: count }, () => generator[kind]());
    },
    permutation: ({ seed, n }) => random.generator(seed).permutation(n),
    stepsTo: ({ runs }) => runs.map(([kind, options, limit, mark]) => slow.stepsTo(make(kind, options), limit ?? undefined, mark)),
    looks: ({ kind, options, every, count }) => {
      const found = [];
      for (const look of slow.steps(make(kind, options))) {
        if (look.step % every === 0) found.push(plain(look));
        if (found.length === count) return found;
      }
    },
    trace: ({ kind, options, count, steps }) => {
      const trace = slow.createTrace(make(kind, options));
      trace.advance(count);
      const { reached, isStuck, isOver } = trace;
      return plain({ reached, isStuck, isOver, steps: trace.steps, samples: trace.samples.length, at: steps.map(trace.at) });
    },
    bestRate: ({ kind, options }) => all(slow.bestRate((eta) => make(kind, { ...options, eta }))),
  };
  return TASKS[task](given);
};
