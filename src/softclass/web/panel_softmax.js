/** Panel 1: from scores to probabilities; the Jacobian, the triangle, and what short number types make of it. */
import { button, choice, numbers, slider } from "softclass/controls";
import { figure } from "softclass/figure";
import { frac, math, row, sub, sum, sup } from "softclass/formulas";
import { jacobian } from "softclass/loss";
import { STYLES, bars, heatMap, label, line, linear, svg, ternary } from "softclass/plots";
import { LARGEST_EXP, PRECISIONS } from "softclass/precision";
import { naiveSoftmax, shiftedSoftmax } from "softclass/rounded_softmax";
import { entropy, logSoftmax, softmax } from "softclass/softmax";
import { exponential, letter, register } from "softclass/text";
import { words } from "softclass/text_softmax";

register(words);
export const key = "softmax";
export const fields = ["z", "T", "shift", "view"];

const MOST = 10;
const LEAST_P = 1e-6; // the triangle has no point on its border: its score would be infinite
const VIEWS = { bars: barView, jacobian: jacobianView, simplex: simplexView, precision: precisionView };

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [at, value] of Object.entries(attributes)) node.setAttribute(at, value);
  node.append(...children);
  return node;
}

/** All numbers of the panel for one state. */
function compute(z, T, shift) {
  const scores = z.map((score) => score + shift);
  const p = softmax(scores, T);
  const order = p.map((_, i) => i).sort((i, j) => z[j] - z[i] || i - j);
  return { z, T, shift, scores: scores.map((score) => score / T), p, lnp: logSoftmax(scores, T), order };
}

/** Build the panel into place.main. */
export function view(place) {
  const { t, store } = place;
  const add = button(place, { label: t("softmax.add"), press: () => store.set({ z: [...store.get("z"), 0] }) });
  const remove = button(place, { label: t("softmax.remove"), press: () => store.set({ z: store.get("z").slice(0, -1) }) });
  place.watch(["z"], (z) => {
    add.disabled = z.length >= MOST;
    remove.disabled = z.length <= 2;
  });
  const size = element("div", { class: "buttons" }, add, remove);
  size.hidden = store.get("hide").includes("z");
  const options = Object.keys(VIEWS).map((value) => ({ value, label: t(`softmax.view.${value}`) }));
  const card = element(
    "div",
    { class: "card stack" },
    numbers(place, { key: "z", label: t("softmax.scores"), min: -10, max: 10, step: 0.1, names: letter }),
    size,
    element(
      "div",
      { class: "controls" },
      slider(place, { key: "T", label: t("softmax.T"), hint: t("softmax.T.hint"), min: 0.05, max: 20, scale: "log" }),
      slider(place, { key: "shift", label: t("softmax.shift"), hint: t("softmax.shift.hint"), min: -1000, max: 1000, step: 1 }),
    ),
    choice(place, { key: "view", label: t("softmax.view"), options }),
  );
  const readings = element("dl", { class: "readings" });
  const room = element("div");
  place.main.append(card, readings, room);
  explain(place);

  let show = null;
  place.watch(["view"], (name) => {
    room.replaceChildren();
    show = VIEWS[name](place, room);
    show(compute(...["z", "T", "shift"].map(store.get)));
  });
  let first = true;
  place.watch(["z", "T", "shift"], (z, T, shift) => {
    const numbersNow = compute(z, T, shift);
    read(place, readings, numbersNow);
    if (!first) {
      show(numbersNow);
      place.say(listed(place, numbersNow));
    }
    first = false;
  });
  return { close() {} };
}

/** "A 65.9 %, B 24.2 %" */
const listed = (place, { p }) => p.map((share, i) => `${letter(i)} ${place.percent(share)}`).join(", ");

function read(place, list, { z, T, p, order }) {
  const { t, number } = place;
  const [first, second] = order.map(letter);
  const exponent = (z[order[0]] - z[order[1]]) / T;
  const K = p.length;
  const total = p.reduce((partial, share) => partial + share, 0);
  const entries = [
    [t("softmax.largest"), place.percent(p[order[0]]), t("softmax.largest.of", { name: first })],
    [t("softmax.odds", { first, second }), exponential(exponent), t("softmax.odds.of", { exponent: number(exponent, 3) })],
    [t("softmax.entropy"), number(entropy(p), 4, true), t("softmax.entropy.of", { K, most: number(Math.log(K), 4) })],
    [t("softmax.sum"), number(total, 12), t("softmax.sum.of", { K })],
  ];
  const made = entries.map(([name, value, detail]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, detail))),
  );
  list.replaceChildren(...made);
  place.side.notice(
    t("softmax.notice.sum"),
    t("softmax.notice.odds", { first, second, odds: exponential(exponent) }),
    t("softmax.notice.T"),
  );
}

/** Bars of the three stages, side by side or, on a phone, below one another. */
function barView(place, room) {
  const { t, number } = place;
  const chart = figure(place, { key: "softmax-bars", title: t("softmax.bars"), width: 860, height: 200 });
  room.append(chart.element);
  const pitch = 44;
  return (now) => {
    const { z, shift, scores, p, lnp, order } = now;
    const powers = scores.map((score) => Math.exp(score - scores[order[0]]));
    const K = p.length;
    const reach = Math.max(...scores.map(Math.abs), 1e-9);
    const around = [Math.min(...scores) < 0 ? -reach : 0, Math.max(...scores) > 0 ? reach : 0];
    const stages = [
      { title: t("softmax.bars.score"), values: scores, domain: around, text: (score) => number(score, 3), space: 78 },
      { title: t("softmax.bars.power"), values: powers, domain: [0, 1], text: (power) => number(power, 4), space: 78 },
      { title: t("softmax.bars.probability"), values: p, domain: [0, 1], text: place.percent, space: 172 },
    ];
    const draw = ({ title, values, domain, text, space }, left, right, top) => {
      const x = linear(domain, [left + 22, right - space]);
      const items = values.map((value, i) => ({ name: letter(i), value, style: i }));
      const nodes = [label(title, left, top + 14, { style: "muted" }), bars(items, { x, top: top + 22, pitch, names: left })];
      values.forEach((value, i) => {
        const middle = top + 22 + i * pitch + pitch / 2;
        const last = values === p;
        nodes.push(label(text(value), right, middle + (last ? -3 : 4), { anchor: "end", style: last ? "strong" : "" }));
        if (!last) return;
        const places = { p: number(value, 6, true), lnp: number(lnp[i], 3, true) };
        const digits = t(value < 1e-4 ? "softmax.bars.logarithm" : "softmax.bars.digits", places);
        nodes.push(label(digits, right, middle + 14, { anchor: "end", style: "small" }));
      });
      return nodes;
    };
    const one = 24 + K * pitch;
    const wide = (width) => width >= 560;
    chart.show({
      summary: t("softmax.bars.summary", { list: listed(place, now) }),
      columns: [t("softmax.class"), "z + c", t("softmax.bars.score"), t("softmax.bars.power"), "p", t("softmax.lnp")],
      rows: p.map((share, i) => [letter(i), z[i] + shift, scores[i], powers[i], share, lnp[i]]),
      height: (width) => (wide(width) ? one : 3 * one + 24),
      marks(width) {
        if (!wide(width)) return stages.flatMap((stage, i) => draw(stage, 0, width, i * (one + 12)));
        const gap = 24;
        const free = width - 2 * gap;
        const widths = [0.27 * free, 0.27 * free, 0.46 * free];
        const lefts = [0, widths[0] + gap, widths[0] + widths[1] + 2 * gap];
        return stages.flatMap((stage, i) => draw(stage, lefts[i], lefts[i] + widths[i], 0));
      },
    });
  };
}

/** J_ij / T as coloured cells, with the sums of the rows. */
function jacobianView(place, room) {
  const { t, number } = place;
  const chart = figure(place, { key: "softmax-jacobian", title: t("softmax.jacobian"), width: 760, height: 300 });
  room.append(chart.element);
  return ({ p, T }) => {
    const K = p.length;
    const J = jacobian(p).map((numbersOfRow) => numbersOfRow.map((value) => value / T));
    const sums = J.map((numbersOfRow) => numbersOfRow.reduce((partial, value) => partial + value, 0));
    const names = p.map((_, i) => letter(i));
    const largest = Math.max(...J.flat());
    const left = 34;
    const cellOf = (width) => (width - left - 2) / (K + 1);
    const tall = 40;
    chart.show({
      summary: t("softmax.jacobian.summary", { K, largest: number(largest, 4), sum: number(Math.max(...sums.map(Math.abs)), 15) }),
      columns: [t("softmax.class"), ...names.map((name) => t("softmax.jacobian.score", { name })), t("softmax.jacobian.sum")],
      rows: J.map((numbersOfRow, i) => [t("softmax.jacobian.row", { name: names[i] }), ...numbersOfRow, sums[i]]),
      height: 34 + K * tall + 4,
      marks(width) {
        const cell = cellOf(width);
        const digits = cell > 64 ? 4 : cell > 50 ? 3 : 2;
        const text = cell > 36 ? (value) => number(Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value, digits) : null;
        const end = left + (K + 0.5) * cell;
        return [
          heatMap({ values: J, left, top: 30, cell, cellHeight: tall, rows: names, columns: names, text }),
          label(t("softmax.jacobian.sum"), end, 23, { anchor: "middle", style: "muted" }),
          ...sums.map((total, i) => label(number(Math.abs(total) < 1e-12 ? 0 : total, 2), end, 30 + (i + 0.5) * tall + 4, { anchor: "middle", style: "muted" })),
        ];
      },
    });
  };
}

/** The triangle with a point to drag and the path of the temperature. */
function simplexView(place, room) {
  const { t, store } = place;
  const wrong = element("p", { class: "hint" });
  const repair = button(place, { label: t("softmax.simplex.make"), press: () => store.set({ z: [...store.get("z"), 0].slice(0, 3) }) });
  const refusal = element("div", { class: "card" }, wrong, repair);
  const chart = figure(place, { key: "softmax-simplex", title: t("softmax.simplex"), width: 520, height: 440, interactive: true });
  const hint = element("p", { class: "hint" }, t("softmax.simplex.hint"));
  const whole = element("div", {}, chart.element, hint);
  room.append(refusal, whole);
  const handle = svg("circle", { class: "handle", r: 10, tabindex: 0, role: "slider", "aria-label": t("softmax.simplex.point"), "aria-valuemin": 0, "aria-valuemax": 1 });
  let triangle = null;

  const put = (p) => {
    const inside = p.map((share) => Math.max(share, LEAST_P));
    const T = store.get("T");
    const scores = inside.map((share) => T * Math.log(share));
    const mean = (scores[0] + scores[1] + scores[2]) / 3;
    store.set({ z: scores.map((score) => Number((score - mean).toFixed(4))), shift: 0 });
  };
  const follow = (event) => {
    const [box, [, , width, height]] = [chart.picture.getBoundingClientRect(), chart.picture.getAttribute("viewBox").split(" ").map(Number)];
    put(triangle.read(((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height));
  };
  chart.picture.classList.add("draggable");
  chart.picture.addEventListener("pointerdown", (event) => {
    chart.picture.setPointerCapture(event.pointerId);
    follow(event);
  });
  chart.picture.addEventListener("pointermove", (event) => {
    if (chart.picture.hasPointerCapture(event.pointerId)) follow(event);
  });
  handle.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: [-0.01, 0.01, 0], ArrowLeft: [0.01, -0.01, 0], ArrowUp: [-0.005, -0.005, 0.01], ArrowDown: [0.005, 0.005, -0.01] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const p = softmax(store.get("z"), store.get("T")).map((share, i) => Math.max(share + move[i], LEAST_P));
    const total = p[0] + p[1] + p[2];
    put(p.map((share) => share / total));
  });

  return (now) => {
    const { z, T, p } = now;
    refusal.hidden = z.length === 3;
    whole.hidden = z.length !== 3;
    wrong.textContent = t("softmax.simplex.three", { K: z.length });
    repair.hidden = store.get("hide").includes("z");
    if (z.length !== 3) return;
    handle.setAttribute("aria-valuenow", p[0].toFixed(2));
    handle.setAttribute("aria-valuetext", listed(place, now));
    const temperatures = Array.from({ length: 81 }, (_, i) => 0.05 * 400 ** (i / 80));
    const marked = [0.05, 0.5, 1, 2, 20].filter((value) => value !== T);
    chart.show({
      summary: t("softmax.simplex.summary", { list: listed(place, now) }),
      columns: ["T", "p A", "p B", "p C"],
      rows: [T, ...marked].map((value) => [value, ...softmax(z, value)]),
      height: (width) => ((Math.min(width, 460) - 8) * Math.sqrt(3)) / 2 + 56,
      marks(width) {
        const side = Math.min(width, 460) - 8;
        triangle = ternary({ left: (width - side) / 2, top: 28, side, names: p.map((share, i) => `${letter(i)} ${place.percent(share)}`) });
        const [x, y] = triangle.at(p);
        handle.setAttribute("cx", x);
        handle.setAttribute("cy", y);
        const path = line(temperatures.map((value) => triangle.at(softmax(z, value))), STYLES[1]);
        return [triangle.element, path, handle];
      },
    });
  };
}

/** Naive and shifted softmax in four number types: a table, since it is about digits. */
function precisionView(place, room) {
  const { t, number } = place;
  const head = ["type", "safe", "naive", "shifted"].map((name) => element("th", { scope: "col" }, t(`softmax.precision.${name}`)));
  const body = element("tbody");
  const table = element("table", { class: "precision" }, element("thead", {}, element("tr", {}, ...head)), body);
  const frame = element("div", { class: "table", tabindex: "0", role: "region", "aria-label": t("softmax.precision") }, table);
  room.append(element("section", { class: "card" }, element("h2", {}, t("softmax.precision")), frame, element("p", { class: "hint" }, t("softmax.precision.hint"))));
  const cell = (p) => {
    const broken = p.some((share) => !Number.isFinite(share));
    return element("td", broken ? { class: "broken" } : {}, p.map((share) => number(share, 6)).join("  ·  "));
  };
  return ({ scores }) => {
    const lines = PRECISIONS.map((precision) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, t(`softmax.precision.${precision}`)),
        element("td", { class: "number" }, number(LARGEST_EXP[precision], 2)),
        cell(naiveSoftmax(scores, precision)),
        cell(shiftedSoftmax(scores, precision)),
      ),
    );
    body.replaceChildren(...lines);
  };
}

/** The formula, its derivation and things to try. */
function explain(place) {
  const { t, side } = place;
  const power = (exponent) => sup("e", exponent);
  const zk = sub("z", "k");
  side.formula(
    math(sub("p", "k"), "=", frac(power(row(zk, "/", "T")), row(sum("j"), power(row(sub("z", "j"), "/", "T"))))),
  );
  side.derivation(
    t("softmax.derive.shift"),
    math(frac(power(row(sub("z", "k"), "+", "c")), row(sum("j"), power(row(sub("z", "j"), "+", "c")))), "=", frac(row(power("c"), power(sub("z", "k"))), row(power("c"), sum("j"), power(sub("z", "j"))))),
    t("softmax.derive.max"),
    t("softmax.derive.odds"),
    math(frac(sub("p", "i"), sub("p", "j")), "=", power(row("(", sub("z", "i"), "−", sub("z", "j"), ")", "/", "T"))),
    t("softmax.derive.jacobian"),
    math(frac(row("∂", sub("p", "i")), row("∂", sub("z", "j"))), "=", frac("1", "T"), sub("p", "i"), "(", sub("δ", "ij"), "−", sub("p", "j"), ")"),
    t("softmax.derive.rows"),
  );
  side.tryThis([
    { text: t("softmax.try.shift"), state: { shift: 100 } },
    { text: t("softmax.try.cold"), state: { T: 0.05, view: "bars" } },
    { text: t("softmax.try.hot"), state: { T: 20, view: "bars" } },
    { text: t("softmax.try.jacobian"), state: { view: "jacobian" } },
    { text: t("softmax.try.overflow"), state: { z: [1000, 0, 0], T: 1, shift: 0, view: "precision" } },
  ]);
}
