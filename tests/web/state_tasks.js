// Tasks of test_state.py.
async ({ task, given }) => {
  const { FIELDS, decode, encode, initial } = await import("softclass/state");
  const inside = (field, value) => {
    if (field.kind === "word") return field.options.includes(value);
    if (field.kind === "text") return typeof value === "string" && value.length <= field.longest && !/[^\w-]/.test(value);
    if (field.kind === "either" && field.options.includes(value)) return true;
    if (field.kind === "list") {
      const right = Array.isArray(value) && value.length >= field.least && value.length <= field.most;
      return right && value.every((item) => inside(field.item, item));
    }
    if (field.kind !== "number" && !Number.isInteger(value)) return false;
    return Number.isFinite(value) && value >= field.low && value <= field.high;
  };
  const tasks = {
    fields: () => FIELDS,
    encode: () => encode(given.state),
    read: () => decode(given.fragment),
    values() {
      const { state, notices } = decode(given.fragment);
      const written = Object.fromEntries(Object.entries(state).map(([key, value]) => [key, String(value)]));
      return { written, notices: Object.fromEntries(notices.map(({ key, reason }) => [key, reason])) };
    },
    there_and_back: () =>
      given.fragments.map((fragment) => {
        const { state, notices } = decode(fragment);
        const written = encode(state);
        const within = Object.entries(FIELDS).every(([key, field]) => inside(field, state[key]));
        const complete = Object.keys(state).join() === Object.keys(initial()).join();
        return { written, again: encode(decode(written).state), within: within && complete, notices };
      }),
  };
  return tasks[task]();
};
