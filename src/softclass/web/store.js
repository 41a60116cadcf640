/** The state of the page: inputs, values derived from them, and those who watch. No dependency. */
const ROUNDS = 100;

/**
 * Make a store.
 * @param {Object<string, *>} inputs first value of each input key
 * @param {function(function(): void): void} schedule how a flush is put off; many `set` before it count as one
 * @returns {{get: function, set: function, derive: function, watch: function, flush: function}}
 */
export function createStore(inputs, schedule = queueMicrotask) {
  const values = new Map(Object.entries(inputs));
  const derived = new Map(); // in the order of declaration: one pass is enough, since needs are declared before
  const watchers = new Set();
  let changed = new Set();
  let waiting = false;

  const known = (key) => {
    if (!values.has(key)) throw new Error(`the store has no key ${key}`);
    return values.get(key);
  };
  const put = (key, value) => {
    if (Object.is(values.get(key), value)) return;
    values.set(key, value);
    changed.add(key);
  };
  const touched = (needs, keys) => needs.some((key) => keys.has(key));

  function flush() {
    waiting = false;
    const failures = []; // one broken watcher must not keep the news from the others
    for (let round = 0; changed.size > 0; round += 1) {
      if (round === ROUNDS) {
        changed = new Set();
        throw new Error("watchers keep changing the state");
      }
      for (const [key, { needs, compute }] of derived)
        if (touched(needs, changed)) put(key, compute(...needs.map(known)));
      const news = changed;
      changed = new Set();
      for (const watcher of [...watchers]) {
        if (!watchers.has(watcher) || !touched(watcher.needs, news)) continue;
        try {
          watcher.tell(...watcher.needs.map(known));
        } catch (error) {
          failures.push(error);
        }
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  return {
    get: known,
    flush,
    /** Change inputs; watchers hear of it at the next flush. Equal values (`Object.is`) are no change. */
    set(news) {
      for (const key of Object.keys(news)) {
        known(key);
        if (derived.has(key)) throw new Error(`${key} is derived and cannot be set`);
      }
      for (const [key, value] of Object.entries(news)) put(key, value);
      if (changed.size === 0 || waiting) return;
      waiting = true;
      schedule(flush);
    },
    /** Declare `key` as `compute` of the values of `needs`, which are declared already: a cycle cannot be written. */
    derive(key, needs, compute) {
      if (values.has(key)) throw new Error(`${key} is declared already`);
      values.set(key, compute(...needs.map(known)));
      derived.set(key, { needs, compute });
    },
    /** Call `tell` with the values of `needs` now and after each flush that changed one. Returns `stop()`. */
    watch(needs, tell) {
      const watcher = { needs, tell };
      const now = needs.map(known);
      watchers.add(watcher);
      tell(...now);
      return () => watchers.delete(watcher);
    },
  };
}
