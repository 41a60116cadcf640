/** The controls of panel 4: data, model, training, points by hand, the comparison of losses. */
import { button, choice, numbers, slider } from "softclass/controls";
import { element } from "softclass/elements";
import { BATCH } from "softclass/optimizers";
import { MOST_CLASSES, ownControls } from "softclass/own_points";
import { compareHeads } from "softclass/plane";
import { DRAWN } from "softclass/points";
import { inSlices } from "softclass/slices";
import { FIELDS } from "softclass/state";
import { letter } from "softclass/text";

const NEW_UNITS = 8; // units of a hidden layer that is added
const MOST_ADDED = FIELDS.points.most / 3;
let made = 0; // inputs with a name

const isHidden = (place, key) => place.store.get("hide").includes(key);

/** An input with its label above it. */
function labelled(label, input) {
  input.id ||= `plane-${(made += 1)}`;
  return element("div.control", element("label", { for: input.id }, label), input);
}

/** What is chosen most often: data, output and loss, hidden layers. */
export function topControls(place) {
  const { t } = place;
  const lists = ["data", "head"].map((key) => choice(place, { key, words: `plane.${key}`, as: "select" }));
  return element("div.controls.three", ...lists, layersControl(place));
}

/** How many hidden layers there are. */
function layersControl(place) {
  const { store, t } = place;
  const select = element("select");
  for (let n = 0; n <= FIELDS.hidden.most; n += 1) {
    select.append(element("option", { value: n }, n === 0 ? t("plane.layers.none") : String(n)));
  }
  select.addEventListener("change", () => {
    const old = store.get("hidden");
    store.set({ hidden: Array.from({ length: Number(select.value) }, (_, i) => old[i] ?? NEW_UNITS) });
  });
  place.watch(["hidden"], (hidden) => {
    select.value = String(hidden.length);
  });
  const control = labelled(t("plane.layers"), select);
  control.dataset.key = "hidden";
  control.hidden = isHidden(place, "hidden");
  return control;
}

/** How the network is built and trained. */
export function trainingControls(place) {
  const { t } = place;
  const units = numbers(place, {
    key: "hidden", label: t("plane.units"), min: 1, max: 32, step: 1, names: (i) => t("plane.layer", { i: i + 1 }),
  });
  units.classList.add("named");
  const activation = choice(place, { key: "act", words: "plane.act" });
  const start = slider(place, { key: "s", label: t("plane.s"), max: 8, step: 0.25, hint: t("plane.s.linear") });
  const size = slider(place, { key: "n", label: t("plane.n"), step: 10 });
  place.watch(["hidden", "data"], (hidden, data) => {
    units.hidden = hidden.length === 0 || isHidden(place, "hidden");
    activation.hidden = hidden.length === 0 || isHidden(place, "act");
    size.hidden = !DRAWN.includes(data) || isHidden(place, "n");
    const hint = start.querySelector(".hint");
    if (hint !== null) hint.textContent = t(hidden.length === 0 ? "plane.s.linear" : "plane.s.deep");
  });
  return element(
    "section.card.stack",
    element("h2", t("plane.training")),
    units,
    activation,
    choice(place, { key: "opt", words: "plane.opt", hint: t("plane.opt.hint", { n: BATCH }) }),
    element(
      "div.controls",
      slider(place, { key: "eta", label: t("plane.eta"), scale: "log" }),
      start,
      slider(place, { key: "l2", label: t("plane.l2"), max: 0.2, step: 0.001, hint: t("plane.l2.hint") }),
      size,
      slider(place, { key: "seed", label: t("plane.seed"), max: 100 }),
    ),
  );
}

/** The user's own table: its controls are made when they are first needed. */
export function ownPlace(place, changed) {
  const card = element("section.card.stack", { hidden: "" });
  let made = false;
  place.watch(["data"], (data) => {
    card.hidden = data !== "own";
    if (data !== "own" || made) return;
    made = true;
    const controls = ownControls(place, changed);
    card.append(element("h2", place.t("plane.data.own")), controls.element);
    controls.ready.then(changed);
  });
  return card;
}

/**
 * Points by hand: a click into the picture, or class, x and y with the keyboard.
 * @param {object} field - of fieldPicture
 * @returns {{element: HTMLElement, offer: function(string[]): void}} `offer(classes)` when another set is shown
 */
export function pointControls(place, field) {
  const { store, t } = place;
  const chosen = element("select");
  const boxes = ["x", "y"].map(() => element("input", { type: "number", class: "box", step: "any", value: "0" }));
  let names = [];

  const add = ([x, y]) => {
    const points = store.get("points");
    if (points.length / 3 >= MOST_ADDED) {
      told.textContent = t("plane.add.full");
      return;
    }
    const k = Number(chosen.value);
    const [shortX, shortY] = [rounded(x, field.box().x), rounded(y, field.box().y)];
    store.set({ points: [...points, shortX, shortY, k] });
    const values = { name: names[k] ?? letter(k), x: place.number(shortX, 4), y: place.number(shortY, 4) };
    told.textContent = t("plane.add.said", { ...values, n: place.integer(points.length / 3 + 1) });
  };
  const typed = () => boxes.map((box) => (box.value.trim() === "" ? NaN : Number(box.value)));
  const isTyped = () => typed().every((value) => Number.isFinite(value) && Math.abs(value) <= FIELDS.points.item.high);
  const press = button(place, { label: t("plane.add.press"), press: () => isTyped() && add(typed()) });
  const shorten = (end) => () => store.set({ points: store.get("points").slice(0, end) });
  const undo = button(place, { label: t("plane.add.undo"), press: shorten(-3) });
  const clear = button(place, { label: t("plane.add.clear"), press: shorten(0) });
  const told = element("p.hint", { role: "status" });

  const aim = () => {
    const isRight = isTyped();
    press.disabled = !isRight;
    field.aim(isRight && boxes.includes(document.activeElement) ? typed() : null);
  };
  for (const box of boxes) {
    for (const event of ["input", "focus", "blur"]) box.addEventListener(event, aim);
    box.addEventListener("keydown", (event) => event.key === "Enter" && isTyped() && add(typed()));
  }
  const isAbsent = isHidden(place, "points");
  field.picture.classList.toggle("aims", !isAbsent);
  field.picture.addEventListener("click", (event) => {
    const found = isAbsent ? null : field.placeOf(event);
    if (found !== null) add(found);
  });
  place.watch(["points"], (points) => {
    undo.disabled = points.length === 0;
    clear.disabled = points.length === 0;
  });

  const labels = ["class", "x", "y"].map((name) => t(`plane.add.${name}`));
  const inputs = [chosen, ...boxes].map((input, i) => labelled(labels[i], input));
  const card = element(
    "section.card.stack",
    element("h2", t("plane.add")),
    element("div.controls.three", ...inputs),
    element("div.buttons", press, undo, clear),
    told,
  );
  card.hidden = isAbsent;
  return {
    element: card,
    offer(classes) {
      const old = chosen.value;
      names = classes;
      const options = classes.slice(0, MOST_CLASSES).map((name, k) => element("option", { value: k }, name));
      if (classes.length < MOST_CLASSES) {
        const name = letter(classes.length);
        options.push(element("option", { value: classes.length }, t("plane.add.new", { name })));
      }
      chosen.replaceChildren(...options);
      chosen.value = old !== "" && Number(old) < options.length ? old : "0";
      boxes.forEach((box, at) => {
        const [low, high] = field.box()[at === 0 ? "x" : "y"];
        box.step = String(10 ** Math.floor(Math.log10((high - low) / 20)));
      });
    },
  };
}

/** A place in the picture with as many digits as the picture can show. */
function rounded(value, [low, high]) {
  const digits = Math.min(12, Math.max(0, 2 - Math.floor(Math.log10((high - low) / 5))));
  return Number(value.toFixed(digits));
}

/**
 * The comparison of the four losses with everything else equal.
 * @param {{set: object, settings: object}} now - what is trained
 * @param {object} picture - of headPicture
 * @returns {{press: HTMLElement, element: HTMLElement, stop: function(): void}} `stop` also takes the picture away
 */
export function comparison(place, now, picture) {
  const { t } = place;
  let cancel = null;
  const told = element("span.hint");
  const start = button(place, { label: t("plane.compare"), press: () => (cancel === null ? begin() : stop()) });
  picture.element.hidden = true;

  function begin() {
    if (now.set === null || now.set.training.targets.length === 0) return;
    start.textContent = t("plane.stop");
    cancel = inSlices(compareHeads(now.set, now.settings), {
      each: ({ head, epoch }) => {
        told.textContent = t("plane.comparing", { head: t(`plane.head.${head}`), epoch: place.integer(epoch) });
      },
      done(found) {
        settle();
        picture.element.hidden = false;
        place.say(picture.show(found));
      },
    });
  }
  function settle() {
    cancel = null;
    told.textContent = "";
    start.textContent = t("plane.compare");
  }
  function stop() {
    cancel?.();
    settle();
    picture.element.hidden = true;
  }
  return { press: element("div.buttons", start, told), element: picture.element, stop };
}
