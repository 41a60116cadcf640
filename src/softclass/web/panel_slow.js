/** Panel 3: how long a confident mistake lasts with each loss; four experiments, with theory beside them. */
import { checks, choice, runButtons, slider } from "softclass/controls";
import { element } from "softclass/elements";
import { createRun } from "softclass/run";
import { LOOK, countOf, lossFigure, networkFigure, pushFigure } from "softclass/slow_figures";
import { HEAD_OF } from "softclass/slow_learning";
import { LOSSES_OF, createRuns, shownLosses } from "softclass/slow_runs";
import { explain } from "softclass/slow_words";
import { svg, symbol } from "softclass/plots";
import { register } from "softclass/text";
import { words } from "softclass/text_slow";

register("slow", words);
export const key = "slow";
export const fields = ["run", "m", "K", "eta", "loss", "rate", "s", "seed", "step"];

const GIVEN = ["run", "m", "K", "eta", "loss", "rate", "s", "seed"];
const SCALES = [1, 10, 30]; // of the networks that were run
const AT_ONCE = 3; // milliseconds of measuring before the first picture
const GROWTH = 1.04; // a playing run goes on by one step, or by this factor, a frame

/** Build the panel into place.main. */
export function view(place) {
  const { store } = place;
  const player = createPlayer(store);
  const readings = element("dl.readings");
  const question = element("h2");
  const position = element("p.position");
  const room = element("div");
  const bar = element("div.run.runs", runButtons(place, player), position);
  place.main.append(inputs(place), question, readings, bar, room);
  const notice = explain(place);
  const screen = { place, player, readings, position, room };
  const experiments = live(screen);
  const networks = precomputed(screen);
  let current = null;
  place.watch(GIVEN, (...values) => {
    const given = Object.fromEntries(GIVEN.map((name, i) => [name, values[i]]));
    const wanted = given.run === "network" ? networks : experiments;
    if (current !== wanted) {
      current?.stop();
      room.replaceChildren(wanted.element);
      current = wanted;
    }
    question.textContent = place.t(`slow.steps.${given.run}`);
    notice(given);
    current.take(given);
  });
  place.watch(["step"], (step) => current.move(step));
  return {
    close() {
      player.pause();
      current.stop();
    },
  };
}

/** The controls; those that an experiment does not have are hidden. */
function inputs(place) {
  const { t, store } = place;
  const losses = element("div");
  const scale = element("div");
  const parts = {
    m: slider(place, { key: "m", label: t("slow.m"), hint: t("slow.m.hint"), step: 0.5 }),
    K: slider(place, { key: "K", label: t("slow.K"), scale: "log" }),
    s: scale,
    eta: slider(place, { key: "eta", label: t("slow.eta"), min: 0.01, max: 100, scale: "log" }),
    seed: slider(place, { key: "seed", label: t("slow.seed"), max: 20 }),
    rate: choice(place, { key: "rate", words: "slow.rate" }),
  };
  const used = {
    neuron: ["m", "eta", "rate"],
    logits: ["m", "K", "eta", "rate"],
    plane: ["s", "eta", "seed", "rate"],
    network: ["s"],
  };
  const { rate, ...sliders } = parts;
  const grid = element("div.controls", ...Object.values(sliders));
  const hidden = new Map(Object.entries(parts).map(([name, part]) => [name, part.hidden]));
  place.watch(["run"], (run) => {
    for (const [name, part] of Object.entries(parts)) part.hidden = hidden.get(name) || !used[run].includes(name);
    const label = t("slow.s");
    scale.replaceChildren(
      run === "network"
        ? choice(nearest(place), {
            key: "s", label, options: SCALES.map((value) => ({ value, label: t("slow.times", { value }) })),
          })
        : slider(place, { key: "s", label, hint: t("slow.s.hint"), step: 0.25 }),
    );
    const chosen = shownLosses(run, store.get("loss"));
    if (!store.get("loss").some((loss) => chosen.includes(loss))) store.set({ loss: chosen });
    const options = LOSSES_OF[run].map((value) => ({ value, label: t(`slow.loss.${value}`) }));
    losses.replaceChildren(checks(place, { key: "loss", label: t("slow.losses"), options }));
  });
  const run = choice(place, { key: "run", words: "slow.run" });
  return element("div.card.stack", run, grid, losses, rate);
}

/** The entry of a list that is nearest to a number. */
const nearestOf = (list, wanted) =>
  list.reduce((best, value) => (Math.abs(value - wanted) < Math.abs(best - wanted) ? value : best));

/** A place whose start scale is that of the network which is shown for it. */
const nearest = (place) => ({
  ...place,
  watch: (needs, tell) => place.watch(needs, (s) => tell(nearestOf(SCALES, s))),
});

/**
 * What the run buttons drive: the step of the store, a little faster from frame to frame.
 *
 * A run goes through what is measured already, so that all losses are seen at the same step.
 */
function createPlayer(store) {
  let pending = null;
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const put = (step) => store.set({ step: Math.min(Math.max(step, 0), player.end) });
  const player = {
    end: 0,
    onchange: null,
    get running() {
      return pending !== null;
    },
    get finished() {
      return store.get("step") >= player.end;
    },
    play() {
      if (player.finished || player.running) return;
      if (still()) {
        player.step();
        return;
      }
      const frame = () => {
        const step = store.get("step");
        put(Math.max(step + 1, Math.ceil(step * GROWTH)));
        pending = player.end > step + 1 ? requestAnimationFrame(frame) : null;
        if (pending === null) player.onchange?.();
      };
      pending = requestAnimationFrame(frame);
      player.onchange?.();
    },
    pause() {
      if (pending === null) return;
      cancelAnimationFrame(pending);
      pending = null;
      player.onchange?.();
    },
    step() {
      put(store.get("step") + 1);
    },
    reset() {
      player.pause();
      put(0);
    },
    /** A new end, when runs were measured. */
    until(end) {
      player.end = end;
      player.onchange?.();
    },
  };
  return player;
}

/** Experiments S1 to S3: measured here, in slices that leave the page its frames. */
function live({ place, player, readings, position, room }) {
  const { store, t, integer, number } = place;
  const figures = [lossFigure(place), pushFigure(place)];
  let runs = null;
  let work = null;

  const draw = () => {
    const step = store.get("step");
    for (const figure of figures) figure.show(runs, step);
    tell(step);
  };
  const tell = (step) => {
    const unit = runs.given.run === "plane" ? "slow.position.epoch" : "slow.position.step";
    position.textContent = t(unit, { step: integer(Math.min(step, player.end)) });
    readings.replaceChildren(...runs.items.map((item) => reading(place, runs, item)));
  };
  const settle = () => {
    room.toggleAttribute("data-measured", runs.isDone);
    player.until(runs.isDone ? runs.end : Math.max(...runs.items.map(({ trace }) => trace.steps)));
  };

  return {
    element: element("div.figures", ...figures.map((figure) => figure.element)),
    take(given) {
      work?.pause();
      work = null;
      runs = createRuns(given);
      const steps = runs.work();
      const begin = performance.now();
      while (performance.now() - begin < AT_ONCE && !steps.next().done);
      refresh();
      if (runs.isDone) return;
      work = createRun(() => steps, { redraw: refresh, done: refresh }, { still: () => false });
      work.play();
    },
    move(step) {
      if (runs === null) return;
      draw();
      player.onchange?.();
      const list = runs.at(step).map((look, i) => `${t(`slow.loss.${runs.items[i].loss}`)} ${number(look.loss, 3)}`);
      place.say(t("slow.said", { step: integer(step), list: list.join(t("slow.and")) }));
    },
    stop() {
      work?.pause();
      player.pause();
    },
  };

  function refresh() {
    settle();
    draw();
  }
}

/** One loss: how many steps it took, what theory says, where it is now. */
function reading(place, runs, item) {
  const { t, integer, number } = place;
  const { loss, eta, theory, found, trace } = item;
  const [name, mark] = [
    t(`slow.loss.${loss}`),
    svg("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, class: "picture inline", "aria-hidden": "true" }),
  ];
  mark.append(symbol(LOOK[loss], 0, 0, 6));
  const plane = runs.given.run === "plane";
  const notes = [];
  if (theory[0] !== null)
    notes.push(t("slow.theory", { steps: Number.isFinite(theory[0]) ? integer(theory[0]) : t("slow.never") }));
  if (!plane)
    notes.push(t(runs.given.run === "neuron" ? "slow.low.neuron" : "slow.low", { steps: countOf(place, item, 1) }));
  if (found === null) notes.push(t("slow.norate"));
  else if (eta !== runs.given.eta) notes.push(t("slow.rateof", { eta: number(eta, 4) }));
  if (trace.isStuck && trace.reached[0] === null) notes.push(t("slow.standing"));
  const value = element("dd", countOf(place, item), ...notes.map((note) => element("small", note)));
  return element("div", { "data-loss": loss }, element("dt", mark, ` ${name}`), value);
}

/** Experiment S4: networks that were trained when the demo was made. */
function precomputed({ place, player, readings, position, room }) {
  const { store, t, integer, percent } = place;
  const chart = networkFigure(place);
  const note = element("p.hint");
  const missing = element("p.notice.failed");
  const whole = element("div", chart.element, missing);
  missing.hidden = true;
  chart.element.append(note);
  chart.element.hidden = true;
  let shown = null;
  let turn = 0;

  const draw = () => {
    const step = store.get("step");
    chart.show(shown, step);
    const epochs = shown[0].accuracy.length;
    position.textContent = t("slow.position.epoch", { step: integer(Math.min(Math.max(step, 1), epochs)) });
  };
  return {
    element: whole,
    async take({ loss, s }) {
      const mine = (turn += 1);
      room.removeAttribute("data-measured");
      let curves;
      try {
        curves = await place.source.curves();
      } catch (error) {
        if (mine !== turn) return;
        missing.textContent = t("slow.network.missing", { reason: error.message });
        missing.hidden = false;
        chart.element.hidden = true;
        readings.replaceChildren();
        return;
      }
      if (mine !== turn) return;
      const scales = [...new Set(curves.runs.map((run) => run.start_scale))];
      const near = nearestOf(scales, s);
      const of = (name) => curves.runs.find((run) => run.start_scale === near && run.head === HEAD_OF[name]);
      shown = shownLosses("network", loss).map((name) => ({ loss: name, ...of(name) }));
      const facts = { scale: near, eta: curves.learning_rate, seeds: curves.seeds.length };
      note.textContent = t(near === s ? "slow.network.of" : "slow.network.near", facts);
      chart.element.hidden = false;
      missing.hidden = true;
      readings.replaceChildren(...shown.map((run) => networkReading(place, run)));
      player.until(shown[0].accuracy.length);
      draw();
      room.setAttribute("data-measured", "");
    },
    move() {
      if (shown === null) return;
      draw();
      player.onchange?.();
      const epoch = Math.min(Math.max(store.get("step"), 1), shown[0].accuracy.length);
      const list = shown.map((run) => `${t(`slow.loss.${run.loss}`)} ${percent(run.accuracy[epoch - 1])}`);
      place.say(t("slow.said.epoch", { step: integer(epoch), list: list.join(t("slow.and")) }));
    },
    stop() {
      turn += 1;
      shown = null;
      player.pause();
    },
  };
}

function networkReading(place, { loss, accuracy, epochs }) {
  const { t, integer, percent } = place;
  const mark = svg("svg", {
    viewBox: "-8 -8 16 16", width: 16, height: 16, class: "picture inline", "aria-hidden": "true",
  });
  mark.append(symbol(LOOK[loss], 0, 0, 6));
  const value = epochs === null ? t("slow.not", { cap: integer(accuracy.length) }) : integer(epochs);
  const last = t("slow.network.last", { share: percent(accuracy.at(-1)) });
  return element(
    "div",
    { "data-loss": loss },
    element("dt", mark, ` ${t(`slow.loss.${loss}`)}`),
    element("dd", value, element("small", last)),
  );
}
