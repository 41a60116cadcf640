/** Inputs that are bound to the store both ways. A control whose key is hidden by the address is an empty place. */
import { element } from "softclass/elements";
import { FIELDS } from "softclass/state";

let made = 0;
const name = () => `control-${(made += 1)}`;

const hidden = (place, key) => place.store.get("hide").includes(key);
const nothing = () => element("span", { hidden: "" });

/** A hint below a control and the attribute that ties it to the input. */
function hinted(hint) {
  if (!hint) return { hint: [], tie: {} };
  const id = name();
  return { hint: [element("p.hint", { id }, hint)], tie: { "aria-describedby": id } };
}

/** Steps of a logarithmic range input from end to end. */
const LOG_STEPS = 400;

/** A range input and a number box for one value; `read` and `write` know where it lives. */
function rangeAndBox({ label, low, high, min = low, max = high, step, scale, whole = false, said }, write) {
  const logarithmic = scale === "log";
  const id = name();
  const [from, to] = logarithmic ? [0, LOG_STEPS] : [min, max];
  const range = element("input", { type: "range", id, min: from, max: to, step: logarithmic ? 1 : step });
  const box = element("input", {
    type: "number", class: "box", step: whole ? 1 : "any", "aria-label": label, inputmode: "decimal",
  });
  const position = (value) => (logarithmic ? (LOG_STEPS * Math.log(value / min)) / Math.log(max / min) : value);
  const value = () => {
    if (!logarithmic) return Number(range.value);
    const raw = min * (max / min) ** (Number(range.value) / LOG_STEPS);
    return Math.min(Math.max(whole ? Math.round(raw) : Number(raw.toPrecision(3)), low), high);
  };
  range.addEventListener("input", () => write(value()));
  box.addEventListener("input", () => {
    const typed = box.value.trim() === "" ? NaN : Number(box.value);
    const right = Number.isFinite(typed) && typed >= low && typed <= high && (!whole || Number.isInteger(typed));
    box.toggleAttribute("data-wrong", !right);
    box.setAttribute("aria-invalid", String(!right));
    if (right) write(typed);
  });
  const settle = (current) => {
    box.value = String(current);
    box.removeAttribute("data-wrong");
    box.setAttribute("aria-invalid", "false");
  };
  return {
    range,
    box,
    id,
    show(current) {
      const wanted = String(Math.min(Math.max(position(current), from), to));
      if (range.value !== wanted) range.value = wanted;
      range.setAttribute("aria-valuetext", said ? said(current) : String(current));
      if (document.activeElement !== box || Number(box.value) !== current) settle(current);
    },
    settle,
  };
}

/**
 * A slider with a number box.
 * @param {{key: string, label: string, hint?: string, min?: number, max?: number, step?: number, scale?: string,
 *   said?: function(number): string, output?: function(number): string}} parts from end to end of what the key may be
 *   unless `min` and `max` say less; `scale` "linear" or "log"; `said` is what a screen reader hears; `output` a line
 *   under the slider that follows the value
 */
export function slider(place, { key, label, hint, output, step = 1, ...rest }) {
  if (hidden(place, key)) return nothing();
  const { low, high, kind } = FIELDS[key];
  const parts = rangeAndBox({ label, step, low, high, whole: kind === "integer", ...rest }, (value) =>
    place.store.set({ [key]: value }),
  );
  parts.box.addEventListener("blur", () => parts.settle(place.store.get(key)));
  const said = hinted(hint);
  for (const input of [parts.range, parts.box])
    for (const [at, id] of Object.entries(said.tie)) input.setAttribute(at, id);
  const line = output ? [element("output", { for: parts.id })] : [];
  place.watch([key], (value) => {
    parts.show(value);
    if (output) line[0].textContent = output(value);
  });
  const head = element("label", { for: parts.id }, label);
  return element("div.control.slider", { "data-key": key }, head, parts.range, parts.box, ...line, ...said.hint);
}

/**
 * A slider and a box for each number of a vector.
 * @param {{key: string, label: string, hint?: string, min: number, max: number, step?: number,
 *   names: function(number): string, style?: function(number): string}} parts `names(i)` is the label of number i,
 *   `style(i)` a class for its colour
 */
export function numbers(place, { key, label, hint, min, max, step = 0.1, names, style }) {
  if (hidden(place, key)) return nothing();
  const { low, high, kind } = FIELDS[key].item;
  const said = hinted(hint);
  const list = element("div.vector");
  let rows = [];
  const write = (i) => (value) => place.store.set({ [key]: place.store.get(key).with(i, value) });
  place.watch([key], (values) => {
    if (rows.length !== values.length) {
      rows = values.map((_, i) =>
        rangeAndBox({ label: names(i), min, max, step, low, high, whole: kind === "integer" }, write(i)),
      );
      rows.forEach((row, i) => row.box.addEventListener("blur", () => row.settle(place.store.get(key)[i])));
      list.replaceChildren(
        ...rows.map((row, i) =>
          element(
            "div",
            { class: `control slider short ${style ? style(i) : ""}` },
            element("label", { for: row.id }, names(i)),
            row.range,
            row.box,
          ),
        ),
      );
    }
    rows.forEach((row, i) => row.show(values[i]));
  });
  return element("fieldset", { "data-key": key, ...said.tie }, element("legend", label), list, ...said.hint);
}

/**
 * One of several options.
 * @param {{key: string, words?: string, label?: string, hint?: string, values?: string[],
 *   options?: {value: *, label: string}[], as?: string}} parts `words` is the key of the label, and with a value behind
 *   it that of an option; `as` "radios" (the default up to five options) or "select"
 */
export function choice(place, parts) {
  const { key, words, label = place.t(words), hint, values = FIELDS[key].options } = parts;
  const { options = values.map((value) => ({ value, label: place.t(`${words}.${value}`) })) } = parts;
  const { as = options.length <= 5 ? "radios" : "select" } = parts;
  if (hidden(place, key)) return nothing();
  const said = hinted(hint);
  if (as === "select") {
    const id = name();
    const list = element("select", { id, ...said.tie });
    list.append(...options.map((option, i) => element("option", { value: i }, option.label)));
    list.addEventListener("change", () => place.store.set({ [key]: options[Number(list.value)].value }));
    place.watch([key], (value) => {
      list.value = String(options.findIndex((option) => option.value === value));
    });
    return element("div.control", { "data-key": key }, element("label", { for: id }, label), list, ...said.hint);
  }
  const group = name();
  const inputs = options.map(() => element("input", { type: "radio", name: group }));
  inputs.forEach((input, i) => input.addEventListener("change", () => place.store.set({ [key]: options[i].value })));
  place.watch([key], (value) => {
    inputs.forEach((input, i) => {
      input.checked = options[i].value === value;
    });
  });
  const labels = inputs.map((input, i) => element("label", input, element("span", options[i].label)));
  const row = element("div.segments", ...labels);
  return element("fieldset.control", { "data-key": key, ...said.tie }, element("legend", label), row, ...said.hint);
}

/**
 * Any of several options, for a key that holds a list; at least as many stay chosen as the key asks for.
 * @param {{key: string, label: string, hint?: string, options: {value: *, label: string}[]}} parts
 */
export function checks(place, { key, label, hint, options }) {
  if (hidden(place, key)) return nothing();
  const said = hinted(hint);
  const inputs = options.map(() => element("input", { type: "checkbox" }));
  const show = (values) => {
    inputs.forEach((input, i) => {
      input.checked = values.includes(options[i].value);
    });
  };
  const take = () => {
    const chosen = options.filter((_, i) => inputs[i].checked).map((option) => option.value);
    if (chosen.length >= FIELDS[key].least) place.store.set({ [key]: chosen });
    else show(place.store.get(key));
  };
  for (const input of inputs) input.addEventListener("change", take);
  place.watch([key], show);
  const labels = inputs.map((input, i) => element("label.check", input, element("span", options[i].label)));
  const row = element("div.checks", ...labels);
  return element("fieldset.control", { "data-key": key, ...said.tie }, element("legend", label), row, ...said.hint);
}

/** A button; `kind` "main" for the one that matters most in its group. */
export function button(place, { label, press, kind = "plain" }) {
  const node = element("button", { type: "button", class: `button ${kind}` }, label);
  node.addEventListener("click", press);
  return node;
}

/** Take one file, chosen or dropped on the box. */
export function fileBox(place, { label, hint, accept, take }) {
  const said = hinted(hint);
  const input = element("input", { type: "file", accept, ...said.tie });
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // so that the same file can be taken again
    if (file) take(file);
  });
  const box = element("label.file", input, element("span", label));
  box.addEventListener("dragover", (event) => event.preventDefault());
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
  return element("div.control", box, ...said.hint);
}

/** Run or pause, one step, back to the start: the buttons of a run of run.js. */
export function runButtons(place, run) {
  const { t } = place;
  const play = button(place, {
    label: t("page.run"), kind: "main", press: () => (run.running ? run.pause() : run.play()),
  });
  const step = button(place, { label: t("page.step"), press: () => run.step() });
  const reset = button(place, { label: t("page.reset"), press: () => run.reset() });
  const show = () => {
    play.textContent = t(run.running ? "page.pause" : "page.run");
    play.disabled = run.finished;
    step.disabled = run.finished || run.running;
  };
  run.onchange = show;
  show();
  return element("div.run", { role: "group", "aria-label": t("page.running") }, play, step, reset);
}
