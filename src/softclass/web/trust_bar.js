/** What the three trust panels share: which rows, how they are split, the temperature, the class. */
import { button, choice, fileBox, slider } from "softclass/controls";
import { element } from "softclass/elements";
import { FIELDS } from "softclass/state";
import { register } from "softclass/text";
import { words } from "softclass/text_trust";
import { atTemperature, rowsOf, split } from "softclass/trust";

register("trust", words);

/** Classes that have a bar each; of more, those with most to say. */
export const CLASS_BARS = 20;
const SEED = 7; // of the random half when it is first asked for
const MOST_OPTIONS = 300; // above so many classes a number is typed

/** A function that remembers its last answer while it is asked the same. */
export function remembered(compute) {
  let last = null;
  let answer;
  return (...given) => {
    if (last === null || given.some((value, i) => !Object.is(value, last[i]))) {
      answer = compute(...given);
      last = given;
    }
    return answer;
  };
}

/** Large figures beside small words: [{label, value, note}]. */
export function showReadings(list, readings) {
  list.replaceChildren(
    ...readings.map(({ label, value, note, key }) =>
      element(
        "div",
        { "data-reading": key },
        element("dt", label),
        element("dd", value, ...(note ? [element("small", note)] : [])),
      ),
    ),
  );
}

/** The name of class k; -1 is a class that the model does not know. */
export const className = (place, evaluation, k) => (k < 0 ? place.t("trust.unknown_class") : evaluation.classes[k]);

/**
 * Put the bar and the room of a trust panel into place.main and keep them up to date.
 * @param {{keys: string[], controls?: function(object): Node[], top: string, calibrates?: boolean,
 *   build: function(HTMLElement): void, draw: function(object): void}} panel
 *   `keys` of the store that the panel itself uses; `controls` beside those of the bar; `top` a key of the words for
 *   "all classes"; whether it `calibrates`: then a random half does where no row is marked; `build` once for the room;
 *   `draw(facts)` after each change, with facts of {evaluation, calibration, test, found, plain, T, k}: rows of both
 *   parts, what the test rows say at T and at 1, and the chosen class, -1 for all
 * @returns {Promise<{close: function}>} when the first picture stands
 */
export async function openTrust(place, { keys, controls = () => [], top, calibrates = false, build, draw }) {
  const { t, store, source } = place;
  const bar = element("div.card.stack");
  const said = element("div.said");
  const room = element("div");
  place.main.append(bar, said, room);
  const partsOf = remembered((evaluation, calib) => {
    const { calibration, test } = split(evaluation, calib);
    return { calibration: rowsOf(evaluation, calibration), test: rowsOf(evaluation, test) };
  });
  const at = remembered(atTemperature);
  const plainly = remembered((rows) => atTemperature(rows, 1));
  let closed = false;
  let names = []; // {value, label}: what the address holds, and the name of the set
  let evaluation = null;
  let built = false;
  let lost = false; // whether the address names a set that is not here
  let instead = null; // what was put into the address for it

  async function listNames() {
    const [own, all] = [(await source.model()).evaluations, await source.evaluations()];
    // The name of a file that somebody opened does not enter the address.
    names = all.map((label, i) => ({
      label,
      value: own.includes(label) && FIELDS.set.longest >= label.length ? label : `file-${i}`,
    }));
  }
  const chosen = () => names.find(({ value }) => value === store.get("set")) ?? names[0];

  function update() {
    if (closed || evaluation === null) return;
    const [T, calib] = [store.get("T"), store.get("calib")];
    const unmarked = calibrates && calib === "role" && !evaluation.role.includes(1);
    const { calibration, test } = partsOf(evaluation, unmarked ? SEED : calib);
    const wanted = store.get("class");
    const k = wanted === "top" || wanted >= evaluation.classes.length ? -1 : wanted;
    said.replaceChildren(...remarks(calibration, test, unmarked));
    room.hidden = test.n === 0;
    if (test.n === 0) return;
    if (!built) build(room);
    built = true;
    draw({ evaluation, calibration, test, found: at(test, T), plain: plainly(test), T, k });
  }

  function remarks(calibration, test, unmarked) {
    const lines = [
      t("trust.rows", {
        test: place.integer(test.n),
        calibration: place.integer(calibration.n),
        classes: place.integer(test.classes),
      }),
    ];
    if (lost) lines.push(t("trust.lost", { name: chosen().label }));
    if (unmarked) lines.push(t("trust.unmarked", { seed: SEED }));
    if (evaluation.total > evaluation.n)
      lines.push(t("trust.sample", { n: place.integer(evaluation.n), total: place.integer(evaluation.total) }));
    const unknown = test.own.reduce((sum, entry) => sum + (entry < 0 ? 1 : 0), 0);
    if (unknown > 0) lines.push(t("trust.unknown", { n: place.integer(unknown) }));
    if (evaluation.top) lines.push(t("trust.approximate"));
    if (evaluation.said) lines.push(t(evaluation.said));
    const nodes = lines.map((line) => element("p.muted", line));
    if (test.n === 0) {
      const press = () => store.set({ calib: SEED });
      const half = button(place, { label: t("trust.use_seed"), press });
      nodes.push(element("div.notice", element("p", t("trust.no_test")), half));
    }
    return nodes;
  }

  async function load() {
    const wanted = chosen();
    const named = store.get("set");
    if (names.every(({ value }) => value !== named)) [lost, instead] = [named !== FIELDS.set.fallback, wanted.value];
    else if (named !== instead) lost = false;
    const found = await source.evaluation(wanted.label);
    if (closed || wanted !== chosen()) return;
    evaluation = found;
    fillBar();
    update();
  }

  function fillBar() {
    const list = element("div.controls");
    if (names.length > 1) list.append(setControl());
    list.append(
      splitControl(place),
      slider(place, { key: "T", label: t("trust.T"), hint: t("trust.T.hint"), scale: "log" }),
      classControl(place, evaluation, t(top)),
      ...controls(place),
    );
    const focused = bar.contains(document.activeElement)
      ? document.activeElement.closest("[data-key]")?.dataset.key
      : null;
    bar.replaceChildren(list, ownFile());
    if (focused) bar.querySelector(`[data-key="${focused}"] :is(select, input)`)?.focus();
  }

  function setControl() {
    const values = new Set(names.map(({ value }) => value));
    if (!values.has(store.get("set"))) store.set({ set: names[0].value });
    return choice(place, { key: "set", label: t("trust.set"), options: names, as: "select" });
  }

  const openFile = () =>
    fileBox(place, { label: t("trust.open"), hint: t("trust.open.hint"), accept: ".csv,text/csv", take });
  const ownFile = () => element("details", element("summary", t("trust.own")), openFile());

  async function take(file) {
    try {
      const { kind, name } = await source.dropped(file);
      if (kind !== "evaluation")
        throw new Error(t(kind === "image" ? "trust.picture_file" : "trust.features", { name }));
      await listNames();
      if (closed) return;
      store.set({ set: names.findLast(({ label }) => label === name).value, calib: "role" });
      await load();
      place.say(t("trust.opened", { name, n: place.integer(evaluation.n) }));
    } catch (error) {
      if (!closed) said.replaceChildren(element("p.notice.failed", { role: "alert" }, error.message));
    }
  }

  await listNames();
  if (names.length === 0) {
    bar.append(element("p", t("trust.none")), openFile());
  } else await load();
  let set = store.get("set");
  place.watch(["set", "T", "calib", "class", ...keys], (now) => {
    if (names.length > 0 && now !== set)
      load().catch((error) => said.replaceChildren(element("p.notice.failed", error.message)));
    else if (set === now) update();
    set = now;
  });
  return {
    close() {
      closed = true;
    },
  };
}

/** Rows to calibrate on: as marked, or a random half with its seed. */
function splitControl(place) {
  const { t, store } = place;
  if (store.get("hide").includes("calib")) return element("span", { hidden: "" });
  const seed = element("input", {
    type: "number", class: "box", min: 0, max: 2 ** 32 - 1, step: 1, "aria-label": t("trust.split.number"),
  });
  const radios = ["role", "seed"].map((name) => {
    const input = element("input", { type: "radio", name: "calib" });
    input.addEventListener("change", () => store.set({ calib: name === "role" ? "role" : Number(seed.value || SEED) }));
    return { input, label: element("label", input, element("span", t(`trust.split.${name}`))) };
  });
  seed.addEventListener("input", () => {
    const typed = seed.value.trim() === "" ? NaN : Number(seed.value);
    const right = Number.isInteger(typed) && typed >= 0 && typed < 2 ** 32;
    seed.toggleAttribute("data-wrong", !right);
    seed.setAttribute("aria-invalid", String(!right));
    if (right) store.set({ calib: typed });
  });
  place.watch(["calib"], (value) => {
    radios[0].input.checked = value === "role";
    radios[1].input.checked = value !== "role";
    seed.hidden = value === "role";
    if (value !== "role" && document.activeElement !== seed) seed.value = String(value);
  });
  const row = element("div.segments", ...radios.map(({ label }) => label));
  const both = element("div.buttons", row, seed);
  return element("fieldset.control.split", { "data-key": "calib" }, element("legend", t("trust.split")), both);
}

/** One class, or all of them; of very many the number is typed. */
function classControl(place, evaluation, all) {
  const label = place.t("trust.class");
  const n = evaluation.classes.length;
  if (n > MOST_OPTIONS) {
    const input = element("input", {
      type: "number", class: "box", min: 0, max: n - 1, step: 1, placeholder: all, id: "class-number",
    });
    input.addEventListener("input", () => {
      const typed = input.value.trim() === "" ? "top" : Number(input.value);
      const right = typed === "top" || (Number.isInteger(typed) && typed >= 0 && typed < n);
      input.toggleAttribute("data-wrong", !right);
      input.setAttribute("aria-invalid", String(!right));
      if (right) place.store.set({ class: typed });
    });
    const output = element("output");
    place.watch(["class"], (k) => {
      if (document.activeElement !== input) input.value = k === "top" ? "" : String(k);
      output.textContent = k === "top" ? all : (evaluation.classes[k] ?? all);
    });
    return element("div.control", { "data-key": "class" }, element("label", { for: input.id }, label), input, output);
  }
  const options = [{ value: "top", label: all }, ...evaluation.classes.map((name, value) => ({ value, label: name }))];
  return choice(place, { key: "class", label, options, as: "select" });
}
