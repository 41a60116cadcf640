/** Pieces of pictures: SVG nodes, scales, axes, lines, bars, heat-maps and the triangle. Colours live in style.css. */
const SVG = "http://www.w3.org/2000/svg";

/**
 * An SVG node; its classes stand behind its name.
 * @param {string} name
 * @param {Object<string, *>} attributes those that are null, undefined or false are left out
 * @param {...(Node|string)} children
 */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElementNS(SVG, tag);
  if (classes.length > 0) made.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, String(value));
  }
  made.append(...children.flat());
  return made;
}

/** Ten looks for classes and curves, so that colour is never the only difference. Numbers 0-3 serve for thin lines. */
export const STYLES = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 4", "1 4", "14 3 2 3 2 3", "5 2 1 2", "3 6"].map(
  (dash, i) => ({
    fill: `fill c${i}`,
    stroke: `stroke c${i}`,
    dash: dash || null,
    symbol: i,
    hatch: `url(#hatch-${i % 5})`,
  }),
);

/** Colours for a canvas, as the style sheet has them now: text, paper, line, accent, classes (ten). */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    text: read("--ink"),
    paper: read("--card"),
    line: read("--line"),
    accent: read("--accent"),
    classes: STYLES.map((_, i) => read(`--c${i}`)),
  };
}

/** Where round numbers lie in [low, high]: about n of them, 1, 2 or 5 times a power of ten apart. */
function roundNumbers(low, high, n) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const raw = span / Math.max(n, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/**
 * A straight scale from `domain` to `range`.
 * @param {number[]} domain two numbers
 * @param {number[]} range two pixels
 * @returns {function(number): number} with domain, range, ticks(n) and invert(pixel)
 */
export function linear(domain, range) {
  const [low, high] = domain;
  // Halves, since the difference of two finite numbers may not be finite.
  const slope = (range[1] - range[0]) / (high / 2 - low / 2 || 0.5);
  return Object.assign((value) => range[0] + (value / 2 - low / 2) * slope, {
    domain,
    range,
    ticks: (n = 5) => roundNumbers(low, high, n),
    invert: (pixel) => low + ((pixel - range[0]) / slope) * 2,
    logarithmic: false,
  });
}

/** As `linear`, for the logarithm: `domain` is positive; ticks stand at powers of ten. */
export function log10(domain, range) {
  const inner = linear(domain.map(Math.log10), range);
  return Object.assign((value) => inner(Math.log10(value)), {
    domain,
    range,
    ticks(n = 5) {
      const [low, high] = inner.domain;
      const apart = Math.max(1, Math.ceil((Math.floor(high + 1e-9) - Math.ceil(low - 1e-9)) / Math.max(n, 1)));
      const powers = [];
      for (let power = Math.ceil(low - 1e-9); power <= high + 1e-9; power += 1)
        if (power % apart === 0) powers.push(10 ** power);
      return powers;
    },
    invert: (pixel) => 10 ** inner.invert(pixel),
    logarithmic: true,
  });
}

/** A piece of text; `style` adds classes to "label": "muted", "strong", "tick". */
export function label(words, x, y, { anchor = "start", style = "", rotate } = {}) {
  return svg(
    "text",
    {
      x, y, class: `label ${style}`.trim(), "text-anchor": anchor,
      transform: rotate ? `rotate(${rotate} ${x} ${y})` : null,
    },
    words,
  );
}

/**
 * Axes with grid lines for two scales whose ranges are pixels of the picture.
 * @param {{x: function, y: function, width: number, height: number, xLabel: string, yLabel: string,
 *   xTicks?: number, yTicks?: number, format?: function(number): string, xFormat?: function, yFormat?: function}} parts
 *   width and height of the whole picture; the y label stands above the axis, upright
 */
export function axes({
  x, y, width, height, xLabel, yLabel, xTicks, yTicks, format = String, xFormat = format, yFormat = format,
}) {
  const [left, right] = [Math.min(...x.range), Math.max(...x.range)];
  const [top, bottom] = [Math.min(...y.range), Math.max(...y.range)];
  const made = svg("g.axes");
  for (const value of y.ticks(yTicks ?? Math.max(2, Math.floor((bottom - top) / 45)))) {
    made.append(svg("line.grid", { x1: left, x2: right, y1: y(value), y2: y(value) }));
    made.append(label(yFormat(value), left - 6, y(value) + 4, { anchor: "end", style: "tick" }));
  }
  for (const value of x.ticks(xTicks ?? Math.max(2, Math.floor((right - left) / 75)))) {
    made.append(svg("line.tick-mark", { x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4 }));
    made.append(label(xFormat(value), x(value), bottom + 18, { anchor: "middle", style: "tick" }));
  }
  made.append(svg("line.axis", { x1: left, x2: right, y1: bottom, y2: bottom }));
  if (xLabel)
    made.append(
      label(xLabel, Math.min(right, width - 2), Math.min(bottom + 36, height - 3), { anchor: "end", style: "muted" }),
    );
  if (yLabel) made.append(label(yLabel, 2, Math.max(12, top - 8), { style: "muted" }));
  return made;
}

/**
 * A line through pixel points; it breaks where a coordinate is not finite.
 * @param {number[][]} points [x, y] pairs
 * @param {{stroke?: string, dash?: ?string}|string} style one of STYLES, or a class
 */
export function line(points, style = STYLES[0]) {
  let open = false;
  let path = "";
  for (const [x, y] of points) {
    const drawn = Number.isFinite(x) && Number.isFinite(y);
    if (drawn) path += `${open ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`;
    open = drawn;
  }
  const { stroke, dash } = typeof style === "string" ? { stroke: style, dash: null } : style;
  return svg("path", { class: `line ${stroke}`, d: path, "stroke-dasharray": dash, fill: "none" });
}

const SHAPES = [
  (r) => `M${-r} 0A${r} ${r} 0 1 1 ${r} 0A${r} ${r} 0 1 1 ${-r} 0Z`,
  (r) => `M${-r} ${-r}H${r}V${r}H${-r}Z`,
  (r) => `M0 ${-1.2 * r}L${1.15 * r} ${0.9 * r}H${-1.15 * r}Z`,
  (r) => `M0 ${-1.35 * r}L${1.35 * r} 0L0 ${1.35 * r}L${-1.35 * r} 0Z`,
  (r) => `M0 ${1.2 * r}L${1.15 * r} ${-0.9 * r}H${-1.15 * r}Z`,
  (r) => {
    const w = 0.4 * r; // half the width of the arms of a plus
    return `M${-w} ${-r}H${w}V${-w}H${r}V${w}H${w}V${r}H${-w}V${w}H${-r}V${-w}H${-w}Z`;
  },
  (r) => `M${-r} ${-r}L0 ${-0.4 * r}L${r} ${-r}L${0.4 * r} 0L${r} ${r}L0 ${0.4 * r}L${-r} ${r}L${-0.4 * r} 0Z`,
  (r) => `M${-r} ${-0.5 * r}H${r}V${0.5 * r}H${-r}Z`,
  (r) => `M${-0.5 * r} ${-r}H${0.5 * r}V${r}H${-0.5 * r}Z`,
  (r) => `M${-0.5 * r} ${-r}H${0.5 * r}L${r} 0L${0.5 * r} ${r}H${-0.5 * r}L${-r} 0Z`,
];

/** The mark of class i at (x, y), with an outline in the colour of the text. */
export function symbol(i, x, y, r = 4) {
  const at = i % SHAPES.length;
  return svg("path", {
    class: `mark ${STYLES[at].fill}`,
    d: SHAPES[at](r),
    transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})`,
  });
}

/** Hatch patterns for `STYLES[i].hatch`; put them once into a picture that uses them. */
export function hatches() {
  const strokes = [
    "M0 0L8 8M-2 6L2 10M6 -2L10 2", "M0 8L8 0M-2 2L2 -2M6 10L10 6", "M0 4H8", "M4 0V8", "M0 0L8 8M0 8L8 0",
  ];
  return svg(
    "defs",
    {},
    strokes.map((d, i) =>
      svg(
        "pattern",
        { id: `hatch-${i}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
        svg("path.hatch", { d }),
      ),
    ),
  );
}

/**
 * Horizontal bars from the zero of a scale, one a row, with a name on the left and a value behind the bar.
 * @param {{name?: string, value: number, text?: string, style?: number}[]} items style: a number of STYLES
 * @param {{x: function, top: number, pitch: number, thickness?: number, names?: number, texts?: number}} at `names`:
 *   pixel where names start; `texts`: pixel where the texts of values end (absent: behind each bar)
 */
export function bars(items, { x, top, pitch, thickness = Math.min(22, pitch - 8), names, texts }) {
  const made = svg("g.bars");
  const [left, right] = [Math.min(...x.range), Math.max(...x.range)];
  const zero = Math.min(Math.max(x(0), left), right);
  items.forEach(({ name, value, text, style = 0 }, i) => {
    const middle = top + i * pitch + pitch / 2;
    const end = Number.isFinite(value) ? Math.min(Math.max(x(value), left), right) : zero;
    const [from, width] = [Math.min(zero, end), Math.max(Math.abs(end - zero), 0)];
    made.append(svg("rect.track", { x: left, y: middle - thickness / 2, width: right - left, height: thickness }));
    made.append(
      svg("rect", {
        class: `bar ${STYLES[style % 10].fill}`, x: from, y: middle - thickness / 2, width, height: thickness,
      }),
    );
    if (name !== undefined) made.append(label(name, names ?? 2, middle + 4, { style: "strong" }));
    if (text !== undefined) {
      const [place, anchor] =
        texts === undefined ? (end < zero ? [end - 5, "end"] : [end + 5, "start"]) : [texts, "end"];
      made.append(label(text, place, middle + 4, { anchor }));
    }
  });
  if (zero > left)
    made.append(svg("line.axis", { x1: zero, x2: zero, y1: top, y2: top + items.length * pitch }));
  return made;
}

/**
 * A table of coloured cells: positive and negative values in two hues, the stronger the larger.
 * @param {{values: number[][], left: number, top: number, cell: number, cellHeight?: number, largest?: number,
 *   rows?: string[], columns?: string[], text?: function(number, number, number): ?string}} parts `text(value, i, j)`
 */
export function heatMap({ values, left, top, cell, cellHeight = cell, largest, rows = [], columns = [], text }) {
  const scale = largest ?? Math.max(...values.flat().map(Math.abs), Number.MIN_VALUE);
  const made = svg("g.heat");
  columns.forEach((name, j) =>
    made.append(label(name, left + (j + 0.5) * cell, top - 7, { anchor: "middle", style: "strong" })),
  );
  values.forEach((numbers, i) => {
    const y = top + i * cellHeight;
    if (rows[i] !== undefined)
      made.append(label(rows[i], left - 8, y + cellHeight / 2 + 4, { anchor: "end", style: "strong" }));
    numbers.forEach((value, j) => {
      const strength = Number.isFinite(value) ? Math.min(Math.abs(value) / scale, 1) : 0;
      const place = { x: left + j * cell, y, width: cell, height: cellHeight };
      made.append(
        svg("rect", {
          class: `cell ${value < 0 ? "minus" : "plus"}`, "fill-opacity": (0.62 * strength).toFixed(3), ...place,
        }),
      );
      const words = text?.(value, i, j);
      if (words) made.append(label(words, place.x + cell / 2, y + cellHeight / 2 + 4, { anchor: "middle" }));
    });
  });
  return made;
}

/**
 * The triangle of all probabilities of three classes: x = p_B + p_C / 2, y = (sqrt 3 / 2) p_C.
 * @param {{left: number, top: number, side: number, names?: string[]}} parts upper left corner and side in pixels
 * @returns {{element: SVGElement, at: function(number[]): number[], read: function(number, number): number[]}} `at`
 *   gives the pixel of a p, `read` the p (within the triangle) of a pixel
 */
export function ternary({ left, top, side, names = ["A", "B", "C"] }) {
  const height = (side * Math.sqrt(3)) / 2;
  const at = ([, b, c]) => [left + side * (b + c / 2), top + height * (1 - c)];
  const read = (x, y) => {
    const c = 1 - (y - top) / height;
    const b = (x - left) / side - c / 2;
    const inside = [1 - b - c, b, c].map((part) => Math.max(part, 0));
    const total = inside[0] + inside[1] + inside[2];
    return inside.map((part) => part / total);
  };
  const corners = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(at);
  const element = svg("g.ternary");
  element.append(svg("path.field", { d: `M${corners.map((corner) => corner.join(" ")).join("L")}Z` }));
  for (const part of [0.25, 0.5, 0.75]) {
    const rest = 1 - part;
    for (const [from, to] of [
      [[part, rest, 0], [part, 0, rest]], [[rest, part, 0], [0, part, rest]], [[rest, 0, part], [0, rest, part]],
    ]) {
      const [[x1, y1], [x2, y2]] = [at(from), at(to)];
      element.append(svg("line.grid", { x1, y1, x2, y2 }));
    }
  }
  const shifts = [[0, 18, "start"], [0, 18, "end"], [0, -8, "middle"]];
  corners.forEach(([x, y], i) =>
    element.append(label(names[i], x + shifts[i][0], y + shifts[i][1], { anchor: shifts[i][2], style: "strong" })),
  );
  return { element, at, read };
}

/** About how wide a name is in a picture, `letter` pixels for each of its letters; Chinese characters are wider. */
export const widthOf = (name, letter = 8) =>
  [...name].reduce((sum, one) => sum + (one > "\u2e80" ? 13.5 : letter), 0);

/** A name that fits into so many pixels. */
export function fitted(name, most) {
  if (widthOf(name) <= most) return name;
  const letters = [...name];
  while (letters.length > 1 && widthOf(letters.join("")) > most - 12) letters.pop();
  return `${letters.join("")}…`;
}
