/** What comes out: a bar for each class, and where in the image the score of a class comes from. */
import { choice } from "softclass/controls";
import { element, readingNodes } from "softclass/elements";
import { canvasFigure, figure } from "softclass/figure";
import { STYLES, bars, hatches, label, linear, svg } from "softclass/plots";
import { hues, inked, reach, veil } from "softclass/raster";

const MOST = 12; // bars
const PITCH = 30;
const FIELD = 364;
const FAINT = 0.3; // of the input under the colours of the evidence

/**
 * Bars of the probabilities; a click chooses the class.
 * @returns {{element: HTMLElement, show: function(object): void}} `show` takes {p, z, order, first, second}
 */
export function classBars(place, model) {
  const { t, store } = place;
  const chart = figure(place, { key: "digit-classes", title: t("digit.classes"), width: 560, height: 320 });
  let listed = [];
  chart.picture.classList.add("choosable");
  chart.picture.addEventListener("click", (event) => {
    const box = chart.picture.getBoundingClientRect();
    const [, , , tall] = chart.picture.getAttribute("viewBox").split(" ").map(Number);
    const at = Math.floor((((event.clientY - box.top) * tall) / box.height - 4) / PITCH);
    if (listed[at] !== undefined) store.set({ class: listed[at] });
  });
  return {
    element: chart.element,
    show({ p, z, order, first, second }) {
      const named = model.classes.length > MOST;
      listed = named ? order.slice(0, MOST) : p.map((_, k) => k);
      const longest = Math.max(...listed.map((k) => model.classes[k].length));
      const rest = named ? t("digit.classes.rest", { count: place.integer(p.length - MOST) }) : "";
      chart.show({
        summary: t("digit.classes.summary", {
          list: order
            .slice(0, 3)
            .map((k) => `${model.classes[k]} ${place.percent(p[k])}`)
            .join(", "),
        }),
        columns: [t("digit.class"), "z", "p", "ln p"],
        rows: order.map((k) => [model.classes[k], z[k], p[k], Math.log(p[k])]),
        height: listed.length * PITCH + (named ? 30 : 8),
        marks(width) {
          const names = Math.min(14 + 8 * longest, 0.4 * width);
          const x = linear([0, 1], [names, width - 76]);
          const style = (k) => (k === first ? 0 : k === second ? 1 : 7);
          const most = Math.max(2, Math.floor(names / 8));
          const short = (name) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
          const nodes = [
            bars(
              listed.map((k) => ({ name: short(model.classes[k]), value: p[k], style: style(k) })),
              { x, top: 4, pitch: PITCH },
            ),
          ];
          listed.forEach((k, i) => {
            const middle = 4 + (i + 0.5) * PITCH;
            const bold = k === first || k === second ? "strong" : "";
            nodes.push(label(place.percent(p[k]), width - 2, middle + 4, { anchor: "end", style: bold }));
            if (k !== second) return;
            nodes.push(
              svg("rect", {
                x: names, y: middle - 11, width: Math.max(x(p[k]) - names, 0), height: 22, fill: STYLES[1].hatch,
              }),
            );
          });
          if (named) nodes.push(label(rest, 2, listed.length * PITCH + 22, { style: "muted" }));
          return [hatches(), ...nodes];
        },
      });
    },
  };
}

/**
 * The evidence map of a class, or of the difference of two.
 * @returns {{element: HTMLElement, show: function(object, object, ?Uint8Array): void}} `show` takes a run, what
 *   chosenClasses gave with z and T, and the pixels of the image
 */
export function evidence(place, model) {
  const { t, number } = place;
  const names = model.classes.map((name, value) => ({ value, label: name }));
  const chooseFirst = choice(place, {
    key: "class", label: t("digit.evidence.of"), options: [{ value: "top", label: t("digit.top") }, ...names],
    as: "select",
  });
  const choices = [{ value: "second", label: t("digit.second") }, { value: "none", label: t("digit.none") }, ...names];
  const chooseSecond = choice(place, {
    key: "versus", label: t("digit.evidence.against"), options: choices, as: "select",
  });
  const field = canvasFigure(place, { key: "digit-evidence", title: t("digit.evidence"), width: FIELD, height: FIELD });
  const list = element("dl.readings");
  const refusal = element("p.hint");
  const legend = element(
    "p.hint.signs",
    element("span.sign.plus"),
    t("digit.evidence.for"),
    element("span.sign.minus"),
    t("digit.evidence.contrary"),
  );
  const card = element(
    "section.card.stack",
    { "aria-label": t("digit.evidence") },
    element("div.controls", chooseFirst, chooseSecond),
    refusal,
    field.element,
    legend,
    list,
  );

  /** The evidence of a class, less that of another. */
  function split(of, first, second) {
    const own = of(first);
    if (own === null || second === null) return own;
    const other = of(second);
    return {
      map: own.map.map((part, at) => part - other.map[at]), bias: own.bias - other.bias, shape: own.shape,
      z: own.z - other.z,
    };
  }
  let drawn = {}; // what the field shows: the evidence of a run, two classes, and what they gave

  /** What speaks for and what against. */
  const sums = ({ map }) =>
    [1, -1].map((sign) => map.reduce((sum, part) => (part * sign > 0 ? sum + part : sum), 0));

  /** The picture; it does not depend on the temperature. */
  function showField(found, run, pixels, first, second) {
    const refused =
      pixels === null || model.input.shape === undefined ? "table" : run.arrays === null ? "unknown" : "layers";
    refusal.hidden = found !== null;
    refusal.textContent = found === null ? t(`digit.evidence.no.${refused}`) : "";
    for (const part of [field.element, legend, list, chooseFirst, chooseSecond]) part.hidden = found === null;
    if (found === null) return;
    const colours = hues();
    const [channels, tall, wide] = model.input.shape;
    const [height, width] = found.shape;
    const largest = reach(found.map);
    const scale = FIELD / Math.max(tall, wide);
    const [x, y, w, h] = [(FIELD - wide * scale) / 2, (FIELD - tall * scale) / 2, wide * scale, tall * scale];
    const { context } = field;
    context.fillStyle = `rgb(${colours.zero.join(" ")})`;
    context.fillRect(0, 0, FIELD, FIELD);
    context.imageSmoothingEnabled = false;
    context.drawImage(inked(pixels, tall, wide, channels, FAINT, colours), x, y, w, h);
    context.drawImage(veil(found.map, height, width, largest, colours), x, y, w, h);
    const at = found.map.reduce((best, part, i) => (Math.abs(part) > Math.abs(found.map[best]) ? i : best), 0);
    const [cellW, cellH] = [w / width, h / height];
    const frame = { x: x + (at % width) * cellW, y: y + Math.floor(at / width) * cellH, width: cellW, height: cellH };
    field.overlay.replaceChildren(svg("rect.place-frame.outer", { ...frame }), svg("rect.place-frame", { ...frame }));
    const [plus, minus] = sums(found);
    const [name, other] = [model.classes[first], second === null ? null : model.classes[second]];
    field.show({
      summary: t(other === null ? "digit.evidence.summary" : "digit.evidence.summary.two", {
        name, other, plus: number(plus, 3), minus: number(minus, 3), row: Math.floor(at / width), column: at % width,
        most: number(found.map[at], 3),
      }),
      columns: [t("digit.row"), ...Array.from({ length: width }, (_, i) => String(i))],
      rows: Array.from({ length: height }, (_, i) => [String(i), ...found.map.subarray(i * width, (i + 1) * width)]),
    });
  }

  /** What adds up to the score. */
  function showSum(found, { p, z, T, first, second }) {
    const [plus, minus] = sums(found);
    const [name, other] = [model.classes[first], second === null ? null : model.classes[second]];
    const whole = second === null ? z[first] : z[first] - z[second];
    const score =
      other === null ? t("digit.evidence.score", { name }) : t("digit.evidence.difference", { name, other });
    const entries = [
      [t("digit.evidence.plus"), number(plus, 3), t("digit.evidence.places")],
      [t("digit.evidence.minus"), number(minus, 3), t("digit.evidence.places")],
      [t("digit.evidence.bias"), number(found.bias, 3), t("digit.evidence.nowhere")],
      [score, number(found.z, 3), t("digit.evidence.error", { error: place.number(Math.abs(found.z - whole), 6) })],
    ];
    if (other !== null) {
      const odds = T * Math.log(p[first] / p[second]);
      entries.push([
        t("digit.evidence.odds", { name, other }),
        Number.isFinite(odds) ? number(odds, 3) : t("digit.evidence.beyond"),
        t("digit.evidence.odds.of", { T: number(T, 3) }),
      ]);
    }
    list.replaceChildren(...readingNodes(entries));
  }

  return {
    element: card,
    show(run, classes, pixels) {
      const { p, z, T, first, second } = classes;
      const { evidence: of } = run;
      const isNew = of !== drawn.of || first !== drawn.first || second !== drawn.second;
      if (isNew) drawn = { of, first, second, found: pixels === null ? null : split(of, first, second) };
      const { found } = drawn;
      if (isNew) showField(found, run, pixels, first, second);
      if (found !== null) showSum(found, { p, z, T, first, second });
    },
  };
}
