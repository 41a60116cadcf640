/** The pictures of panel 4: regions with points, curves, hidden units, and how long each loss takes. */
import { fieldImage, unitsImage } from "softclass/field";
import { figure } from "softclass/figure";
import { HEADS } from "softclass/heads";
import { ARRIVED, PATIENCE, tieLines } from "softclass/plane";
import { STYLES, axes, bars, label, line, linear, log10, palette, svg, symbol } from "softclass/plots";
import { boxOf } from "softclass/points";

const UNIT_SIDE = 24; // cells a side of the field of a hidden unit
const POINTS_OF_A_CURVE = 400;
const ROWS_OF_A_TABLE = 200;
const WIDE = { "image-rendering": "auto", preserveAspectRatio: "none" };

/** A name that fits beside a mark. */
const shortName = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);

/** Axis ticks as short numbers. */
const shortTick = (place) => (value) => place.number(value, 4);

/**
 * The regions: field, points, names, tie lines.
 * @returns {{element: HTMLElement, picture: SVGElement, open: function, draw: function, tell: function, aim: function,
 *   box: function, placeOf: function}} `open(set)` before the first `draw(field, ties)`; `tell(content)` sets summary
 *   and table; `placeOf(event)` gives [x, y] in the units of the data, or null beside the field
 */
export function fieldPicture(place) {
  const { t } = place;
  const width = 680;
  const tall = (wide) => Math.round(Math.min(440, Math.max(300, 0.62 * wide)));
  const chart = figure(place, { key: "plane-field", title: t("plane.field"), width, height: tall(width) });
  const image = svg("image", WIDE);
  const ties = svg("g.ties");
  const cross = svg("g.cross");
  let [set, box, scales, points, aimed, lines] = [null, null, null, null, null, []];
  let content = { summary: "", columns: [], rows: [] };

  function layout(wide, height) {
    const [left, right, top, bottom] = [46, 8, 8, set.axes[0] === "" ? 26 : 42];
    const own = boxOf(set);
    const inner = [wide - left - right, height - top - bottom];
    if (set.axes[0] === "") {
      // Drawn sets have the same unit on both axes: the longer side shows more of the plane.
      const unit = Math.max((own.x[1] - own.x[0]) / inner[0], (own.y[1] - own.y[0]) / inner[1]);
      [["x", 0], ["y", 1]].forEach(([axis, at]) => {
        const middle = (own[axis][0] + own[axis][1]) / 2;
        own[axis] = [middle - (unit * inner[at]) / 2, middle + (unit * inner[at]) / 2];
      });
    }
    const { features, targets } = set.training;
    for (let row = set.given ?? targets.length; row < targets.length; row += 1) {
      for (const [axis, value] of [["x", features[2 * row]], ["y", features[2 * row + 1]]]) {
        const margin = 0.04 * (own[axis][1] - own[axis][0]);
        if (value < own[axis][0]) own[axis] = [value - margin, own[axis][1]];
        if (value > own[axis][1]) own[axis] = [own[axis][0], value + margin];
      }
    }
    box = own;
    scales = { x: linear(own.x, [left, wide - right]), y: linear(own.y, [height - bottom, top]) };
    const size = { x: left, y: top, width: inner[0], height: inner[1] };
    for (const [name, value] of Object.entries(size)) image.setAttribute(name, value);
    points = svg("g.points");
    const at = (x, y) => [scales.x(x), scales.y(y)];
    const radius = targets.length > 500 ? 2.5 : targets.length > 60 ? 3.4 : 5.5;
    targets.forEach((k, row) => points.append(symbol(k, ...at(features[2 * row], features[2 * row + 1]), radius)));
    for (const [k, found] of namePlaces(set, box).entries()) {
      if (found === null) continue;
      const [right, low] = at(...found);
      const down = targets.length > 30 ? 7 : -12; // few points are not covered by the name
      points.append(label(shortName(set.classes[k]), right, low + down, { anchor: "middle", style: "halo name" }));
    }
  }
  let drawnAt = "";
  function marks(wide, height) {
    const now = `${wide} ${height}`;
    if (now !== drawnAt) {
      layout(wide, height);
      drawnAt = now;
      resized?.();
    }
    const frame = axes({
      ...scales, width: wide, height, xLabel: set.axes[0], yLabel: "", xTicks: 6, yTicks: 6, format: shortTick(place),
    });
    const turned = { anchor: "middle", style: "muted", rotate: -90 };
    const upright = set.axes[1] === "" ? [] : [label(set.axes[1], 14, height / 2, turned)];
    drawTies();
    drawCross();
    return [frame, ...upright, image, ties, points, cross];
  }
  function drawTies() {
    const at = ([x1, y1, x2, y2]) => [[scales.x(x1), scales.y(y1)], [scales.x(x2), scales.y(y2)]];
    ties.replaceChildren(
      ...lines.flatMap(({ line: whole, border }) => [
        ...(whole ? [line(at(whole), "tie")] : []),
        ...(border ? [line(at(border), "tie border")] : []),
      ]),
    );
  }
  function drawCross() {
    cross.replaceChildren();
    if (aimed === null) return;
    const [x, y] = [scales.x(aimed[0]), scales.y(aimed[1])];
    cross.append(svg("path.aim", { d: `M${x - 11} ${y}H${x + 11}M${x} ${y - 11}V${y + 11}` }));
  }
  let resized = null;

  return {
    element: chart.element,
    picture: chart.picture,
    box: () => box,
    /** Called when the box has changed with the room, since the field must then be seen anew. */
    set onresize(tell) {
      resized = tell;
    },
    open(newSet) {
      [set, lines, drawnAt] = [newSet, [], ""];
      image.removeAttribute("href");
      chart.show({ ...content, marks, height: tall });
    },
    /** A field of softclass/plane, and the network for its tie lines where it has no hidden layer. */
    draw(field, mlp) {
      image.setAttribute("href", fieldImage(field, set.classes.length, palette()));
      lines = mlp.layers.length === 1 ? tieLines(mlp, set, box) : [];
      drawTies();
      return lines;
    },
    tell(news) {
      content = news;
      chart.show({ ...content, marks, height: tall });
    },
    /** Show where the next point will be put; null for nowhere. */
    aim(point) {
      aimed = point;
      if (scales !== null) drawCross();
    },
    placeOf(event) {
      const frame = chart.picture.getBoundingClientRect();
      const [, , wide] = chart.picture.getAttribute("viewBox").split(" ").map(Number);
      const scale = wide / frame.width; // a picture in a narrow room is shown smaller than it is drawn
      const found = [
        scales.x.invert((event.clientX - frame.left) * scale),
        scales.y.invert((event.clientY - frame.top) * scale),
      ];
      const inside = found[0] >= box.x[0] && found[0] <= box.x[1] && found[1] >= box.y[0] && found[1] <= box.y[1];
      return inside ? found : null;
    },
  };
}

/**
 * Where the name of each class stands: at a point of the class that is far from all other classes and near its middle.
 * The middle itself would do for blobs; those of rings are all one place.
 * @returns {(number[]|null)[]} [x, y] in the units of the data; null for a class without points
 */
function namePlaces({ training: { features, targets }, classes }, box) {
  const spans = [box.x[1] - box.x[0], box.y[1] - box.y[0]];
  const at = (row) => [features[2 * row] / spans[0], features[2 * row + 1] / spans[1]];
  const rows = Array.from(targets, (_, row) => row);
  const some = rows.filter((row) => row % Math.ceil(rows.length / 400) === 0);
  return classes.map((_, k) => {
    const own = rows.filter((row) => targets[row] === k);
    if (own.length === 0) return null;
    const middle = [0, 1].map((axis) => own.reduce((sum, row) => sum + at(row)[axis], 0) / own.length);
    let [best, most] = [own[0], -Infinity];
    for (const row of own) {
      const [x, y] = at(row);
      let nearest = 1;
      for (const other of some) {
        if (targets[other] === k) continue;
        const [left, top] = at(other);
        nearest = Math.min(nearest, Math.hypot(left - x, top - y));
      }
      const merit = nearest - 0.5 * Math.hypot(x - middle[0], y - middle[1]);
      if (merit > most) [best, most] = [row, merit];
    }
    return [features[2 * best], features[2 * best + 1]];
  });
}

/** Every so many of the moments, the last one always among them. */
function everyFew(moments, most) {
  const step = Math.max(1, Math.ceil(moments.length / most));
  const kept = moments.filter((_, i) => i % step === 0);
  const last = moments[moments.length - 1];
  return kept[kept.length - 1] === last ? kept : [...kept, last];
}

/**
 * Loss or accuracy against epochs.
 * @param {"loss"|"accuracy"} which
 * @returns {{element: HTMLElement, show: function(object[], ?number): void}} `show(moments, arrived)`
 */
export function curvePicture(place, which) {
  const { t, number } = place;
  const title = t(`plane.${which}.title`);
  const chart = figure(place, { key: `plane-${which}`, title, width: 520, height: 230 });
  const held = which === "loss" ? "validationLoss" : "validationAccuracy";
  const write = which === "loss" ? (value) => number(value, 4) : place.percent;
  const show = (moments, arrived) => {
    const [first, last] = [moments[0], moments[moments.length - 1]];
    const seen = everyFew(moments, POINTS_OF_A_CURVE);
    const isHeld = last[held] !== null;
    const series = isHeld ? [which, held] : [which];
    const values = seen.flatMap((moment) => series.map((name) => moment[name])).filter(Number.isFinite);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const isLog = which === "loss" && least > 0 && most / least > 100;
    const ends = { first: write(first[which]), last: write(last[which]) };
    const summary = t("plane.curve.summary", { title, epoch: place.integer(last.epoch), ...ends });
    const names = [t("plane.train"), t("plane.held")];
    chart.show({
      summary: isHeld ? t("plane.curve.held", { summary, held: write(last[held]) }) : summary,
      columns: [t("plane.epoch"), ...series.map((_, i) => `${title}, ${names[i]}`)],
      rows: everyFew(moments, ROWS_OF_A_TABLE).map((moment) => [moment.epoch, ...series.map((name) => moment[name])]),
      marks(width, height) {
        const range = [height - 40, 34];
        const x = linear([0, Math.max(10, last.epoch)], [52, width - 12]);
        const top = which === "loss" ? most * 1.02 || 1 : 1;
        const y = isLog ? log10([least * 0.8, most * 1.25], range) : linear([0, top], range);
        const format = which === "loss" ? (value) => number(value, 6) : (value) => `${number(100 * value, 0)} %`;
        const labels = { xLabel: t("plane.epoch"), yLabel: "", xFormat: place.integer, yFormat: format };
        const nodes = [axes({ x, y, width, height, ...labels })];
        series.forEach((name, i) => {
          const style = { ...STYLES[i], dash: i === 0 ? null : "6 4" };
          nodes.push(line(seen.map((moment) => [x(moment.epoch), y(moment[name])]), style));
          nodes.push(symbol(i, x(last.epoch), y(last[name]), 4));
          const left = 54 + i * 110;
          nodes.push(line([[left, 12], [left + 24, 12]], style), label(names[i], left + 30, 16, { style: "muted" }));
        });
        if (which === "accuracy" && arrived !== null) {
          nodes.push(line([[x(arrived), range[0]], [x(arrived), range[1]]], "theory"));
          const isLeft = x(arrived) > width / 2;
          const words = `${number(100 * ARRIVED, 0)} %: ${place.integer(arrived)}`;
          const side = { anchor: isLeft ? "end" : "start", style: "halo" };
          nodes.push(label(words, x(arrived) + (isLeft ? -6 : 6), range[0] - 8, side));
        }
        return nodes;
      },
    });
  };
  return { element: chart.element, show };
}

/**
 * The hidden units as small fields.
 * @returns {{element: HTMLElement, side: number, show: function(object[], object): void}} `show(units, mlp)` with units
 *   of softclass/plane on a grid of `side` cells a side
 */
export function unitPicture(place) {
  const { t } = place;
  const chart = figure(place, { key: "plane-units", title: t("plane.hidden"), width: 680, height: 100 });
  const show = (units, mlp) => {
    const layers = mlp.sizes.slice(1, -1).map((_, layer) => units.filter((unit) => unit.layer === layer));
    const tile = (width) => Math.max(34, Math.min(58, width / 12));
    const columns = (width) => Math.max(1, Math.floor(width / tile(width)));
    const heightOf = (width, layer) => 24 + Math.ceil(layer.length / columns(width)) * tile(width) + 8;
    chart.show({
      summary: t("plane.hidden.summary", { n: units.length }),
      columns: ["of", "unit", "least", "mean", "most", "out"].map((name) => t(`plane.hidden.${name}`)),
      rows: units.map(({ layer, unit, values }) => {
        const next = mlp.layers[layer + 1];
        let square = 0;
        for (let row = 0; row < next.nOut; row += 1) square += next.weight[row * next.nIn + unit] ** 2;
        const total = values.reduce((sum, value) => sum + value, 0);
        const [least, most] = [Math.min(...values), Math.max(...values)];
        return [layer + 1, unit + 1, least, total / values.length, most, Math.sqrt(square)];
      }),
      height: (width) => layers.reduce((sum, layer) => sum + heightOf(width, layer), 0),
      marks(width) {
        let top = 0;
        return layers.flatMap((layer, i) => {
          const many = Math.min(columns(width), layer.length);
          const parts = { activation: mlp.activation, side: UNIT_SIDE, columns: many, colours: palette() };
          const made = unitsImage(layer, parts);
          const scale = tile(width) / (UNIT_SIDE + 1);
          const size = { width: made.width * scale, height: made.height * scale };
          const words = t("plane.hidden.layer", { i: i + 1, n: layer.length });
          const nodes = [label(words, 0, top + 15, { style: "muted" })];
          nodes.push(svg("image", { ...WIDE, href: made.href, x: 0, y: top + 24, ...size }));
          const side = UNIT_SIDE * scale;
          layer.forEach((_, unit) => {
            const [x, y] = [(unit % many) * tile(width), top + 24 + Math.floor(unit / many) * tile(width)];
            nodes.push(svg("rect.tile", { x, y, width: side, height: side }));
          });
          top += heightOf(width, layer);
          return nodes;
        });
      },
    });
  };
  return { element: chart.element, side: UNIT_SIDE, show };
}

/**
 * Epochs that each head takes, as bars on a logarithmic axis.
 * @returns {{element: HTMLElement, show: function({head: string, epochs: number|null}[]): string}} `show`
 *   gives its summary
 */
export function headPicture(place) {
  const { t } = place;
  const chart = figure(place, { key: "plane-heads", title: t("plane.heads"), width: 680, height: 190 });
  const never = t("plane.heads.never", { n: place.integer(PATIENCE) });
  const text = (epochs) => (epochs === null ? never : place.integer(epochs));
  const show = (found) => {
    const name = (head) => t(`plane.head.${head}`);
    const list = found.map(({ head, epochs }) => `${name(head)}: ${text(epochs)}`).join("; ");
    const summary = t("plane.heads.summary", { list });
    chart.show({
      summary,
      columns: [t("plane.heads.head"), t("plane.heads.epochs")],
      rows: found.map(({ head, epochs }) => [name(head), epochs ?? never]),
      height: 4 * 46 + 6,
      marks(width) {
        const x = log10([0.8, PATIENCE], [0, width - 130]);
        const items = found.map(({ head, epochs }) => ({
          value: epochs === null ? PATIENCE : Math.max(epochs, 1), text: text(epochs), style: HEADS.indexOf(head),
        }));
        const names = found.map(({ head }, i) => label(name(head), 0, i * 46 + 16, { style: "muted" }));
        return [bars(items, { x, top: 12, pitch: 46, thickness: 16 }), ...names];
      },
    });
    return summary;
  };
  return { element: chart.element, show };
}
