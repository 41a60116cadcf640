/** Panel 5: one input on its way through all layers of a model to the probabilities, and where they come from. */
import { slider } from "softclass/controls";
import { classBars, evidence } from "softclass/digit_classes";
import { layerStrip, openedLayer } from "softclass/digit_layers";
import { pictureInput } from "softclass/digit_picture";
import { rowInput } from "softclass/digit_row";
import { element } from "softclass/elements";
import { frac, math } from "softclass/formulas";
import { chosenClasses, createRunner } from "softclass/network_run";
import { register } from "softclass/text";
import { words } from "softclass/text_digit";

register("digit", words);
const SHORT = 3; // letters of a class that may be written very large
export const key = "digit";
export const fields = ["digit", "layer", "map", "at", "class", "versus", "d", "prep", "T"];

/** Build the panel into place.main. */
export async function view(place) {
  const { t, store } = place;
  const [model, weights] = await Promise.all([place.source.model(), place.source.weights()]);
  const isImage = model.kind === "image";
  const subject = !isImage ? "row" : model.classes.join("") === "0123456789" ? "digit" : "picture";
  const count = place.integer(model.classes.length);
  if (subject !== "digit") place.headed(t(`digit.title.${subject}`), t(`digit.lead.${subject}`, { count }));
  const runner = createRunner(model, weights, place.source);
  const strip = layerStrip(place, model);
  const opened = openedLayer(place, model);
  const chart = classBars(place, model);
  const map = evidence(place, model);
  const failure = element("p.notice.failed", { role: "status", hidden: true });
  const temperature = slider(place, {
    key: "T", label: t("digit.T"), hint: t("digit.T.hint", { own: place.number(model.temperature, 3) }), scale: "log",
  });
  const left = element("div", chart.element, element("section.card", temperature));
  const both = element("div.figures", left, map.element);
  const rest = element("div", strip.element, opened.element, both);
  let latest = null; // {run, pixels, isFinal}
  let turn = 0; // counts inputs: an answer that arrives late is not shown
  let frame = null;
  let isClosed = false;

  const input = await (isImage ? pictureInput : rowInput)(place, model, take);
  place.main.append(input.element, failure, rest);
  rest.hidden = latest === null;
  explain(place, model, isImage);

  /** Take an input: at once where the page computes it, else when the server has answered. */
  async function take(given, { isFinal = true } = {}) {
    const mine = (turn += 1);
    try {
      const run = runner.isHere ? runner.run(given) : await runner.run(given);
      if (mine !== turn || isClosed) return;
      latest = { run, pixels: isImage ? given : null, isFinal };
      failure.hidden = true;
      rest.hidden = false;
      redraw();
    } catch (error) {
      if (mine !== turn || isClosed) return;
      failure.textContent = error.message;
      failure.hidden = false;
      rest.hidden = latest === null;
    }
  }
  /** Draw once a frame, however many lines a pen draws in it. */
  function redraw() {
    if (frame === null) frame = requestAnimationFrame(show);
  }
  function show() {
    frame = null;
    if (latest === null || isClosed) return;
    const { pixels, isFinal } = latest;
    const T = store.get("T");
    const { z } = latest.run;
    const classes = { z, T, ...chosenClasses(z, T, store.get("class"), store.get("versus")) };
    const run = withProbabilities(latest.run, classes.p);
    const isBlank = pixels !== null && !pixels.some((value) => value > 0);
    strip.show(run, pixels);
    opened.show(run, classes);
    chart.show(classes);
    map.show(run, classes, pixels);
    answer(place, model, input.result, classes, isBlank);
    if (isFinal && !isBlank) place.say(said(place, model, classes));
  }
  place.watch(["T", "class", "versus", "layer", "map", "at"], redraw);
  show();

  return {
    close() {
      isClosed = true;
      if (frame !== null) cancelAnimationFrame(frame);
      input.close();
    },
  };
}

/** The softmax layer as the panel shows it: after the temperature of the model and that of the slider. */
function withProbabilities(run, p) {
  const outputs = run.outputs.map((output, i) =>
    run.layers[i].kind === "softmax" ? { shape: output.shape, data: Float64Array.from(p) } : output,
  );
  return { ...run, outputs };
}

/** "3 with 99.8 %; next 8 with 0.1 %" */
const said = (place, model, { p, order }) =>
  place.t("digit.said", {
    name: model.classes[order[0]], p: place.percent(p[order[0]]), next: model.classes[order[1]],
    q: place.percent(p[order[1]]),
  });

/** The answer in large letters beside the input. */
function answer(place, model, room, { p, order }, isBlank) {
  const { t } = place;
  if (isBlank) {
    room.replaceChildren(element("p.hint", t("digit.blank")));
    return;
  }
  const [first, second] = order;
  const name = model.classes[first];
  room.replaceChildren(
    element("p.overline", t("digit.answer")),
    element("p", { class: name.length <= SHORT ? "large short" : "large" }, name),
    element("p", place.percent(p[first])),
    element("p.hint", t("digit.next", { name: model.classes[second], p: place.percent(p[second]) })),
  );
}

/** What to notice, the formula of the evidence, its derivation, things to try. */
function explain(place, model, isImage) {
  const { t, side } = place;
  const last = isImage ? (model.demo === true ? "digit.notice.demo" : "digit.notice.own") : "digit.notice.table";
  side.notice(t("digit.notice.layers"), t(isImage ? "digit.notice.evidence" : "digit.notice.numbers"), t(last));
  if (!isImage) {
    side.formula(math("p_k =", frac("exp ( z_k / T )", "∑_j exp ( z_j / T )")));
    return;
  }
  side.formula(math("E_k ( y , x ) = ∑_c W_{k, c, y, x} a_{c, y, x}"), math("z_k = b_k + ∑_{y, x} E_k ( y , x )"));
  side.derivation(
    t("digit.derive.linear"),
    math("z_k = b_k + ∑_{c, y, x} W_{k, c, y, x} a_{c, y, x}"),
    t("digit.derive.order"),
    t("digit.derive.difference"),
    math("z_i − z_j = T ln", frac("p_i", "p_j")),
    t("digit.derive.temperature"),
  );
  const maps = model.layers.findIndex(({ kind }) => kind === "conv");
  const dense = model.layers.findLastIndex(({ kind }) => kind === "dense");
  side.tryThis("digit.try", {
    difference: { class: "top", versus: "second" },
    alone: { class: "top", versus: "none" },
    ...(maps < 0 ? {} : { conv: { layer: maps, map: 0, at: [] } }),
    ...(dense < 0 ? {} : { dense: { layer: dense, map: 0, at: [] } }),
    hot: { T: 5 },
    usual: { T: 1 },
  });
}
