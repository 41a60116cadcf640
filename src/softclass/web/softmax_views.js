/** Three more views of panel 1: the Jacobian, the triangle of three classes, and four number types. */
import { element } from "softclass/elements";
import { figure } from "softclass/figure";
import { jacobian } from "softclass/loss";
import { STYLES, heatMap, label, line, svg, ternary } from "softclass/plots";
import { LARGEST_EXP, PRECISIONS } from "softclass/precision";
import { naiveSoftmax, shiftedSoftmax } from "softclass/rounded_softmax";
import { threeNeeded } from "softclass/score_inputs";
import { softmax } from "softclass/softmax";
import { letter } from "softclass/text";

const LEAST_P = 1e-6; // the triangle has no point on its border: its score would be infinite

/** "A 65.9 %, B 24.2 %" */
export const listed = (place, { p }) => p.map((share, i) => `${letter(i)} ${place.percent(share)}`).join(", ");

/** J_ij / T as coloured cells, with the sums of the rows. */
export function jacobianView(place, room) {
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
      summary: t("softmax.jacobian.summary", {
        K, largest: number(largest, 4), sum: number(Math.max(...sums.map(Math.abs)), 15),
      }),
      columns: [
        t("softmax.class"),
        ...names.map((name) => t("softmax.jacobian.score", { name })),
        t("softmax.jacobian.sum"),
      ],
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
          ...sums.map((total, i) =>
            label(number(Math.abs(total) < 1e-12 ? 0 : total, 2), end, 30 + (i + 0.5) * tall + 4, {
              anchor: "middle",
              style: "muted",
            }),
          ),
        ];
      },
    });
  };
}

/** The triangle with a point to drag and the path of the temperature. */
export function simplexView(place, room) {
  const { t, store } = place;
  const needed = threeNeeded(place);
  const refusal = element("div.card", ...needed.nodes);
  const chart = figure(place, {
    key: "softmax-simplex", title: t("softmax.simplex"), width: 520, height: 440, interactive: true,
  });
  const hint = element("p.hint", t("softmax.simplex.hint"));
  const whole = element("div", chart.element, hint);
  room.append(refusal, whole);
  const handle = svg("circle.handle", {
    r: 10, tabindex: 0, role: "slider", "aria-label": t("softmax.simplex.point"), "aria-valuemin": 0,
    "aria-valuemax": 1,
  });
  let triangle = null;

  const put = (p) => {
    const inside = p.map((share) => Math.max(share, LEAST_P));
    const T = store.get("T");
    const scores = inside.map((share) => T * Math.log(share));
    const mean = (scores[0] + scores[1] + scores[2]) / 3;
    store.set({ z: scores.map((score) => Number((score - mean).toFixed(4))), shift: 0 });
  };
  const follow = (event) => {
    const [box, [, , width, height]] = [
      chart.picture.getBoundingClientRect(),
      chart.picture.getAttribute("viewBox").split(" ").map(Number),
    ];
    put(
      triangle.read(
        ((event.clientX - box.left) * width) / box.width,
        ((event.clientY - box.top) * height) / box.height,
      ),
    );
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
    const moves = {
      ArrowRight: [-0.01, 0.01, 0], ArrowLeft: [0.01, -0.01, 0], ArrowUp: [-0.005, -0.005, 0.01],
      ArrowDown: [0.005, 0.005, -0.01],
    };
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
    needed.tell(z.length);
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
        triangle = ternary({
          left: (width - side) / 2, top: 28, side, names: p.map((share, i) => `${letter(i)} ${place.percent(share)}`),
        });
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
export function precisionView(place, room) {
  const { t, number } = place;
  const head = ["type", "safe", "naive", "shifted"].map((name) =>
    element("th", { scope: "col" }, t(`softmax.precision.${name}`)),
  );
  const body = element("tbody");
  const table = element("table.precision", element("thead", element("tr", ...head)), body);
  const frame = element("div.table", { tabindex: "0", role: "region", "aria-label": t("softmax.precision") }, table);
  room.append(
    element(
      "section.card",
      element("h2", t("softmax.precision")),
      frame,
      element("p.hint", t("softmax.precision.hint")),
    ),
  );
  const cell = (p) => {
    const broken = p.some((share) => !Number.isFinite(share));
    return element("td", broken ? { class: "broken" } : {}, p.map((share) => number(share, 6)).join("  ·  "));
  };
  return ({ scores }) => {
    const lines = PRECISIONS.map((precision) =>
      element(
        "tr",
        element("th", { scope: "row" }, t(`softmax.precision.${precision}`)),
        element("td.number", number(LARGEST_EXP[precision], 2)),
        cell(naiveSoftmax(scores, precision)),
        cell(shiftedSoftmax(scores, precision)),
      ),
    );
    body.replaceChildren(...lines);
  };
}
