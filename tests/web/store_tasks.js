// Tasks of test_store.py.
async ({ task }) => {
  const { createStore } = await import("softclass/store");
  /** A store that is flushed by hand. */
  const make = (inputs) => createStore(inputs, () => {});
  const refused = (act) => {
    try {
      act();
    } catch (error) {
      return error.message;
    }
    return "nothing was refused";
  };
  const tasks = {
    diamond() {
      const store = make({ a: 1 });
      let computed = 0;
      store.derive("plus", ["a"], (a) => a + 2);
      store.derive("minus", ["a"], (a) => a - 2);
      store.derive("both", ["plus", "minus"], () => (computed += 1));
      const seen = [];
      store.watch(["a", "plus", "minus", "both"], (...values) => seen.push(values.slice(0, 3)));
      store.set({ a: 5 });
      store.flush();
      return { computed, seen };
    },
    unchanged_derived() {
      const store = make({ a: 1 });
      store.derive("positive", ["a"], (a) => a > 0);
      const seen = [];
      store.watch(["positive"], (value) => seen.push(value));
      store.set({ a: 2 });
      store.flush();
      return seen;
    },
    nan_is_no_change() {
      const store = make({ a: NaN });
      let told = 0;
      store.watch(["a"], () => (told += 1));
      store.set({ a: NaN });
      store.flush();
      return told;
    },
    async many_sets_one_round() {
      const store = createStore({ a: 0, b: 0 });
      const seen = [];
      store.watch(["a", "b"], (a, b) => seen.push([a, b]));
      store.set({ a: 1 });
      store.set({ a: 2, b: 3 });
      await null;
      return seen;
    },
    stop() {
      const store = make({ a: 0 });
      const seen = [];
      const stop = store.watch(["a"], (a) => seen.push(a));
      store.set({ a: 1 });
      store.flush();
      stop();
      store.set({ a: 2 });
      store.flush();
      return seen;
    },
    stopped_by_another() {
      const store = make({ a: 0 });
      const seen = [];
      let stopSecond = () => {};
      store.watch(["a"], (a) => {
        if (a === 1) stopSecond();
        if (a === 1) seen.push("first");
      });
      stopSecond = store.watch(["a"], (a) => a === 1 && seen.push("second"));
      store.set({ a: 1 });
      store.flush();
      return seen;
    },
    watcher_sets() {
      const store = make({ a: 0, b: 0 });
      const seen = [];
      store.watch(["a", "b"], (a, b) => seen.push([a, b]));
      store.watch(["a"], (a) => store.set({ b: a }));
      store.set({ a: 3 });
      store.flush();
      return seen;
    },
    order() {
      const store = make({ a: 0 });
      const seen = [];
      store.watch(["a"], (a) => a === 0 && seen.push(a));
      store.set({ a: 1 });
      seen.push("after set");
      store.flush();
      return seen;
    },
    frozen_value() {
      const store = make({ list: [1] });
      const seen = [];
      store.watch(["list"], (list) => seen.push(list.length));
      store.set({ list: [1, 2] });
      store.flush();
      return seen;
    },
    set_derived() {
      const store = make({ a: 1 });
      store.derive("double", ["a"], (a) => 2 * a);
      return { message: refused(() => store.set({ double: 4 })) };
    },
    set_unknown: () => ({ message: refused(() => make({ a: 1 }).set({ nothing: 4 })) }),
    half_a_set() {
      const store = make({ a: 1 });
      return { message: refused(() => store.set({ a: 2, nothing: 4 })), after: store.get("a") };
    },
    undeclared_need: () => ({ message: refused(() => make({ a: 1 }).derive("b", ["later"], (x) => x)) }),
    declared_twice: () => ({ message: refused(() => make({ a: 1 }).derive("a", ["a"], (a) => a)) }),
    watch_unknown: () => ({ message: refused(() => make({ a: 1 }).watch(["nothing"], () => {})) }),
    get_unknown: () => ({ message: refused(() => make({ a: 1 }).get("nothing")) }),
    loop() {
      const store = make({ a: 0 });
      const stop = store.watch(["a"], (a) => a > 0 && store.set({ a: a + 1 }));
      store.set({ a: 1 });
      const message = refused(store.flush);
      stop();
      store.set({ a: 7 });
      store.flush();
      return { message, after: store.get("a") };
    },
    throwing_watcher() {
      const store = make({ a: 1 });
      const seen = [[], []];
      store.watch(["a"], (a) => seen[0].push(a));
      store.watch(["a"], (a) => {
        if (a === 2) throw new Error("my watcher is broken");
      });
      store.watch(["a"], (a) => seen[0].push(10 * a));
      store.set({ a: 2 });
      const message = refused(store.flush);
      store.watch(["a"], (a) => seen[1].push(a));
      store.set({ a: 3 });
      store.flush();
      return { message, after: seen };
    },
  };
  return tasks[task]();
};
