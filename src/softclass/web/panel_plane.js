/** Panel 4: softmax regression or a small network learns points of the plane, epoch by epoch. */
import { button, runButtons } from "softclass/controls";
import { element, readingNodes } from "softclass/elements";
import { cleaned, setOf } from "softclass/own_points";
import { ARRIVED, LAST_EPOCH, fieldOf, meanMargin, started, train, unitFields } from "softclass/plane";
import { comparison, ownPlace, pointControls, topControls, trainingControls } from "softclass/plane_controls";
import { curvePicture, fieldPicture, headPicture, unitPicture } from "softclass/plane_pictures";
import { explain } from "softclass/plane_side";
import { REDRAW, WORK } from "softclass/run";
import { finished, inSlices } from "softclass/slices";
import { register } from "softclass/text";
import { words } from "softclass/text_plane";

register("plane", words);
export const key = "plane";
export const fields = ["data", "n", "seed", "points", "hidden", "act", "head", "opt", "eta", "l2", "s", "step"];

const COARSE = 50; // cells a side of the field while the network moves
const FINE = 100; // and at rest
const READY = 1500; // milliseconds after which the panel counts as opened, even if its epoch is not reached

/** Epochs a second that people can follow: nine at first, faster and faster later. */
const pace = (epochs) => (epochs + 10) / 1.2;

/** Everything that decides a run, from the store. */
const settingsOf = (store) => ({
  hidden: store.get("hidden"),
  activation: store.get("act"),
  head: store.get("head"),
  optimizer: store.get("opt"),
  learningRate: store.get("eta"),
  l2: store.get("l2"),
  start: store.get("s"),
  seed: store.get("seed"),
});

/** Build the panel into place.main; the promise is kept when the epoch of the address is shown, or nearly. */
export async function view(place) {
  const { store, t } = place;
  const pictures = {
    field: fieldPicture(place),
    loss: curvePicture(place, "loss"),
    accuracy: curvePicture(place, "accuracy"),
    units: unitPicture(place),
    heads: headPicture(place),
  };
  const figures = element("dl.readings.five");
  const status = element("div.status"); // spoken by place.say, which keeps to one sentence a second
  const ties = element("ul.hint.ties");
  const now = { set: null, settings: null, moments: [], moment: null, arrived: null, ended: null, margin: 0 };
  let [going, quiet, refining, turn, wrote] = [null, false, () => {}, 0, null];
  let remark = null;
  const stillness = matchMedia("(prefers-reduced-motion: reduce)");

  const run = place.run(() => train(now.set, now.settings), { each: remember, redraw: drawCoarse, done: end, pace });
  const { reset } = run;
  function restart() {
    reset();
    Object.assign(now, { moments: [], moment: null, arrived: null, ended: null });
    quiet = true; // the epoch of the store is where to go, not where this begins
    if (now.set.training.targets.length > 0) run.step();
    quiet = false;
  }
  run.reset = () => {
    leave();
    restart();
    arrive();
  };
  const pressed = runButtons(place, run);
  const { onchange } = run;
  run.onchange = () => {
    if (run.running && going !== null) arrive();
    onchange();
  };

  function remember(moment) {
    now.moment = moment;
    const { epoch, loss, accuracy, validationLoss, validationAccuracy } = moment;
    now.moments.push({ epoch, loss, accuracy, validationLoss, validationAccuracy });
    if (now.arrived === null && accuracy >= ARRIVED) now.arrived = epoch;
  }

  const fieldNow = (side) => finished(fieldOf(now.moment.mlp, now.settings.head, now.set, pictures.field.box(), side));
  /** The network has moved: a coarse picture now, a fine one when nothing moves any more. */
  function drawCoarse() {
    if (going !== null || quiet || now.moment === null) return;
    show(fieldNow(COARSE));
    wrote = now.moment.epoch;
    store.set({ step: wrote });
    refining();
    if (!run.running) refine();
  }
  function refine() {
    const steps = fieldOf(now.moment.mlp, now.settings.head, now.set, pictures.field.box(), FINE);
    refining = inSlices(steps, { done: (field) => tell(field, pictures.field.draw(field, now.moment.mlp)) });
  }
  function end(reason) {
    const epoch = place.integer(now.moment === null ? 0 : now.moment.epoch);
    now.ended = t(`plane.${reason}`, { epoch });
    say();
  }

  /** All pictures but the fine field. */
  function show(field) {
    const { mlp, epoch, loss, accuracy } = now.moment;
    tell(field, pictures.field.draw(field, mlp));
    pictures.loss.show(now.moments, null);
    pictures.accuracy.show(now.moments, now.arrived);
    pictures.units.element.hidden = mlp.layers.length === 1;
    if (mlp.layers.length > 1) {
      pictures.units.show(unitFields(mlp, now.set, pictures.field.box(), pictures.units.side), mlp);
    }
    read();
    const values = { epoch: place.integer(epoch), loss: place.number(loss, 3), accuracy: place.percent(accuracy) };
    place.say(t("plane.said", values));
  }

  /** Summary and table of the field, and the equations of its lines. */
  function tell(field, lines) {
    const { set } = now;
    const stand = standing(field, set, now.moment);
    const share = (k) => `${set.classes[k]} ${place.percent(stand[k].share)}`;
    pictures.field.tell({
      summary: t("plane.field.summary", {
        epoch: place.integer(now.moment.epoch),
        right: place.integer(Math.round(now.moment.accuracy * set.training.targets.length)),
        n: place.integer(set.training.targets.length),
        shares: set.classes.map((_, k) => share(k)).join(", "),
      }),
      columns: ["class", "points", "share", "sure"].map((name) => t(`plane.field.${name}`)),
      rows: stand.map((of, k) => [set.classes[k], of.points, of.share, of.sure ?? "–"]),
    });
    ties.hidden = lines.length === 0;
    ties.replaceChildren(...lines.map((tie) => element("li", equation(tie))));
  }
  const axisName = (axis) => now.set.axes[axis] || t(axis === 0 ? "plane.x" : "plane.y");
  function equation({ i, j, normal, offset }) {
    const size = Math.hypot(...normal) || 1;
    const term = (value, name, isFirst) => {
      const share = Math.abs(value) / size < 1e-9 ? 0 : value / size; // what is left of a sum that cancels
      const sign = share < 0 ? "−" : isFirst ? "" : "+";
      const written = place.number(Number(Math.abs(share).toPrecision(3)), 6);
      return `${sign}${isFirst ? "" : " "}${written}${name && ` ${name}`}`;
    };
    const terms = [term(normal[0], axisName(0), true), term(normal[1], axisName(1), false), term(offset, "", false)];
    return `${now.set.classes[i]} | ${now.set.classes[j]}: ${terms.join(" ")} = 0`;
  }

  function read() {
    const { moment, set } = now;
    const held = (value, write) =>
      value === null ? t("plane.no_validation") : t("plane.validation", { value: write(value) });
    const digits = (value) => place.number(value, 4);
    const count = t("plane.points_of", { n: place.integer(set.training.targets.length) });
    const arrived = now.arrived === null ? t("plane.arrived.never") : place.integer(now.arrived);
    const entries = [
      [t("plane.epoch"), place.integer(moment.epoch), count],
      [t("plane.loss"), digits(moment.loss), held(moment.validationLoss, digits)],
      [t("plane.accuracy"), place.percent(moment.accuracy), held(moment.validationAccuracy, place.percent)],
      [t("plane.arrived"), arrived, t("plane.arrived.of")],
      [t("plane.margin"), place.number(now.margin, 2), t("plane.margin.of")],
    ];
    figures.replaceChildren(...readingNodes(entries));
  }

  /** What is under way, below the buttons. */
  function say() {
    const parts = remark === null ? [] : [remark];
    if (going !== null) {
      const epoch = now.moment === null ? 0 : now.moment.epoch;
      parts.push(t("plane.going", { step: place.integer(going.step), epoch: place.integer(epoch) }));
      parts.push(button(place, { label: t("plane.stop"), press: arrive }));
    } else if (now.ended !== null) parts.push(now.ended);
    else if (now.set !== null && now.set.training.targets.length === 0) parts.push(t("plane.field.empty"));
    status.replaceChildren(...parts);
    if (going === null && parts.length > 0) place.say(parts.join(" "));
  }

  /** Go to an epoch in slices; the picture follows, unless nothing may move. */
  function goTo(step) {
    leave();
    if (now.moment === null || now.moment.epoch > step) restart();
    if (now.moment === null || now.moment.epoch >= step || run.finished) {
      drawCoarse();
      say();
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      let [count, drawn] = [1, performance.now()];
      const slice = () => {
        const begin = performance.now();
        run.step(Math.min(count, step - now.moment.epoch));
        const spent = performance.now() - begin;
        count = spent < WORK / 2 ? 2 * count : Math.max(1, Math.floor((count * WORK) / Math.max(spent, WORK)));
        if (now.moment.epoch >= step || run.finished) {
          arrive();
          return;
        }
        if (begin - drawn >= REDRAW) {
          drawn = begin;
          say();
          if (!stillness.matches) show(fieldNow(COARSE));
        }
        going.frame = requestAnimationFrame(slice);
      };
      going = { step, resolve, frame: 0 };
      slice();
    });
  }
  /** Give up going, without a picture of where it got. */
  function leave() {
    if (going === null) return;
    cancelAnimationFrame(going.frame);
    going.resolve();
    going = null;
  }
  /** What was gone to is reached, or near enough: this is the epoch now. */
  function arrive() {
    leave();
    drawCoarse();
    say();
  }

  /** Begin anew with what the store holds, go to its epoch, and run on if it ran. */
  async function begin() {
    const mine = (turn += 1);
    leave();
    const ran = run.running;
    run.pause();
    refining();
    compared.stop();
    const [data, n, seed, added] = ["data", "n", "seed", "points"].map(store.get);
    const points = cleaned(added);
    if (points === null) {
      remark = t("page.unreadable", { key: "points" });
      store.set({ points: [] });
      return;
    }
    let set;
    try {
      set = await setOf(place, { data, n, seed, points });
    } catch (error) {
      if (mine === turn) status.replaceChildren(element("span.failed", error.message));
      return;
    }
    if (mine !== turn) return;
    const isEmpty = set.training.targets.length === 0;
    const settings = settingsOf(store);
    Object.assign(now, { set, settings, moment: null, margin: isEmpty ? 0 : meanMargin(set, started(set, settings)) });
    const results = [figures, ties, ...["loss", "accuracy", "units"].map((name) => pictures[name].element)];
    for (const part of results) part.hidden = isEmpty;
    pictures.field.open(set);
    pictures.field.tell({ summary: t("plane.field.empty"), columns: [t("plane.field.class")], rows: [] });
    adding.offer(set.classes);
    explain(place, now.settings);
    wrote = Math.min(store.get("step"), LAST_EPOCH);
    if (wrote < store.get("step")) remark = t("plane.last", { epoch: place.integer(LAST_EPOCH) });
    await goTo(wrote);
    remark = null; // it stays until something else is said
    if (ran && mine === turn) run.play();
  }

  const compared = comparison(place, now, pictures.heads);
  const adding = pointControls(place, pictures.field);
  pictures.field.onresize = () => {
    if (now.moment !== null && !run.running && going === null) {
      refining();
      queueMicrotask(refine);
    }
  };
  const buttons = element("div.run-row", pressed, compared.press);
  place.main.append(
    element("div.card.stack", topControls(place), buttons, status),
    ownPlace(place, begin),
    pictures.field.element,
    element("p.hint.apart", t("plane.field.hint")),
    ties,
    figures,
    element("div.figures", pictures.loss.element, pictures.accuracy.element),
    compared.element,
    pictures.units.element,
    trainingControls(place),
    adding.element,
  );

  let [isFirst, opened] = [true, null];
  place.watch(fields.filter((name) => name !== "step"), () => {
    const began = begin();
    if (isFirst) opened = began;
    isFirst = false;
  });
  place.watch(["step"], (step) => {
    if (step === wrote || now.set === null || run.running) return;
    wrote = step;
    goTo(Math.min(step, LAST_EPOCH));
  });
  await Promise.race([opened, new Promise((resolve) => setTimeout(resolve, READY))]);
  return {
    close() {
      turn += 1;
      leave();
      refining();
      compared.stop();
    },
  };
}

/** For each class: its training points, its share of the field and how sure the field is there. */
function standing({ classes, outputs }, set) {
  const found = set.classes.map(() => ({ points: 0, cells: 0, sum: 0 }));
  set.training.targets.forEach((k) => (found[k].points += 1));
  classes.forEach((k, cell) => {
    found[k].cells += 1;
    found[k].sum += outputs[cell];
  });
  return found.map(({ points, cells, sum }) => ({
    points,
    share: cells / classes.length,
    sure: cells === 0 ? null : sum / cells,
  }));
}
