/** A picture with its sentence, its table and its files: SVG, PNG and CSV. */
import { element } from "softclass/elements";
import { svg } from "softclass/plots";

/** What a saved SVG must carry, since it leaves the style sheet behind. */
const LOOKS = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "opacity",
  "font-size", "font-family", "font-weight", "font-style", "text-anchor", "visibility", "display", "paint-order",
];
const NARROWEST = 280; // pixels: below this a picture is scaled down

/** A table as RFC 4180 text: numbers in full, CRLF. */
function csvText(columns, rows) {
  const cell = (value) => {
    const written = typeof value === "number" && Object.is(value, -0) ? "0" : String(value);
    return /[",\r\n]/.test(written) ? `"${written.replaceAll('"', '""')}"` : written;
  };
  return [columns, ...rows].map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

/** Hand a file to the person. */
export function save(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A picture that stands alone: computed styles become attributes; `below` lies on the paper under its marks. */
function standalone(picture, summary, ...below) {
  const copy = picture.cloneNode(true);
  const originals = [picture, ...picture.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of LOOKS) {
      const value = style.getPropertyValue(name);
      if (value) node.setAttribute(name, value);
    }
    node.removeAttribute("class");
    node.removeAttribute("tabindex");
  });
  const [, , width, height] = picture.getAttribute("viewBox").split(" ");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const paper = getComputedStyle(document.documentElement).getPropertyValue("--card").trim();
  copy.removeAttribute("aria-hidden");
  copy.prepend(svg("title", {}, summary), svg("rect", { width, height, fill: paper }), ...below);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
}

async function rasterised(source, width, height) {
  const picture = new Image();
  const loaded = new Promise((resolve, reject) => {
    picture.onload = resolve;
    picture.onerror = () => reject(new Error("the picture cannot be drawn"));
  });
  const address = URL.createObjectURL(new Blob([source], { type: "image/svg+xml" }));
  picture.src = address;
  await loaded;
  const canvas = element("canvas", { width: 2 * width, height: 2 * height });
  canvas.getContext("2d").drawImage(picture, 0, 0, 2 * width, 2 * height);
  URL.revokeObjectURL(address);
  return pngOf(canvas);
}

const pngOf = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

/** Put nodes into a picture; those that are there already are not moved, since moving would take the focus away. */
function exchange(picture, nodes) {
  const kept = new Set(nodes);
  for (const child of [...picture.childNodes]) if (!kept.has(child)) child.remove();
  let next = null;
  for (const node of [...nodes].reverse()) {
    if (node.parentNode !== picture) picture.insertBefore(node, next);
    next = node;
  }
}

/** Title, save buttons and the table below: what both kinds of figure share. `written` gives the picture as SVG. */
function frame(place, { key, title, written, size }) {
  const { t } = place;
  const tools = element("span.tools");
  const files = {
    SVG: () => save(`softclass-${key}.svg`, written(), "image/svg+xml"),
    PNG: async () => save(`softclass-${key}.png`, await rasterised(written(), ...size()), "image/png"),
    CSV: () => save(`softclass-${key}.csv`, csvText(content.columns, content.rows), "text/csv"),
  };
  for (const [kind, press] of Object.entries(files)) {
    const button = element("button", { type: "button", "aria-label": t("page.save", { kind, title }) }, kind);
    button.addEventListener("click", press);
    tools.append(button);
  }
  const table = element("div.table", { tabindex: "0", role: "region", "aria-label": t("page.table.of", { title }) });
  const details = element("details", element("summary", t("page.table")), table);
  const caption = element("figcaption", element("span", title), tools);
  const figure = element("figure", { "data-figure": key }, caption);
  let content = { columns: [], rows: [] };

  const fill = () => {
    if (!details.open) return;
    const head = element(
      "thead",
      element("tr", ...content.columns.map((name) => element("th", { scope: "col" }, name))),
    );
    const body = element("tbody");
    for (const cells of content.rows) {
      const line = element("tr");
      cells.forEach((cell, i) => {
        const shown = typeof cell === "number" ? place.number(cell, 6) : String(cell);
        const kind = typeof cell === "number" ? { class: "number" } : {};
        line.append(i === 0 ? element("th", { scope: "row", ...kind }, shown) : element("td", kind, shown));
      });
      body.append(line);
    }
    table.replaceChildren(element("table", head, body));
  };
  details.addEventListener("toggle", fill);
  return {
    figure,
    details,
    put(news) {
      content = news;
      fill();
    },
  };
}

/**
 * A drawn figure.
 * @param {{key: string, title: string, width: number, height: number, interactive?: boolean}} parts greatest width in
 *   pixels, height; an interactive picture holds things that take the keyboard, so it is a group, not an image
 * @returns {{element: HTMLElement, picture: SVGSVGElement, show: function}} show({summary, columns, rows, marks}):
 *   `summary` one sentence, `columns` and `rows` the table (strings and numbers), `marks` the SVG nodes - or, better, a
 *   function `(width, height) => nodes`, called again when the room changes, so that text keeps its size on a phone;
 *   `height` (a number or a function of the width) changes the height. A node that is among the marks again stays in
 *   its place and keeps the focus.
 */
export function figure(place, { key, title, width, height, interactive = false }) {
  const picture = svg("svg", { role: interactive ? "group" : "img", class: "picture" });
  const written = () => standalone(picture, picture.getAttribute("aria-label"));
  const parts = frame(place, { key, title, written, size: () => size });
  const room = element("div.room", picture);
  room.style.maxWidth = `${width}px`;
  parts.figure.append(room, parts.details);
  let size = [width, height];
  let drawn = null;
  let seen = 0; // width of the room, as the observer said last

  function draw() {
    const flexible = typeof drawn.marks === "function";
    // To ask costs a layout, in each move of a slider one for each figure; the observer tells in time for the frame.
    const free = seen > 0 ? seen : Math.floor(room.clientWidth);
    // Nodes that are given ready cannot be laid out anew: they are scaled as a whole.
    const wide = flexible && free > 0 ? Math.min(Math.max(free, NARROWEST), width) : width;
    size = [wide, typeof drawn.height === "function" ? drawn.height(wide) : drawn.height];
    picture.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    exchange(picture, flexible ? drawn.marks(...size) : drawn.marks);
  }
  new ResizeObserver(() => {
    const before = seen;
    seen = Math.floor(room.clientWidth);
    if (drawn !== null && seen !== before) draw();
  }).observe(room);

  return {
    element: parts.figure,
    picture,
    show({ summary, columns, rows, marks, height: tall = height }) {
      drawn = { marks, height: tall };
      picture.setAttribute("aria-label", summary);
      draw();
      parts.put({ columns, rows });
    },
  };
}

/**
 * A figure on a canvas, for fields of many pixels, with an SVG of the same size over it for marks. The canvas has the
 * size given; the page scales it down. A saved SVG holds the canvas as a picture below the marks.
 * @param {{key: string, title: string, width: number, height: number}} parts
 * @returns {{element: HTMLElement, canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, overlay: SVGElement,
 *   show: function}} show({summary, columns, rows})
 */
export function canvasFigure(place, { key, title, width, height }) {
  const canvas = element("canvas", { width, height, role: "img", class: "picture" });
  const overlay = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "layer", "aria-hidden": "true" });
  const written = () => {
    const field = svg("image", { width, height, href: canvas.toDataURL("image/png"), "image-rendering": "pixelated" });
    return standalone(overlay, canvas.getAttribute("aria-label"), field);
  };
  const parts = frame(place, { key, title, written, size: () => [width, height] });
  const room = element("div.room.stacked", canvas, overlay);
  room.style.maxWidth = `${width}px`;
  parts.figure.append(room, parts.details);
  return {
    element: parts.figure,
    canvas,
    context: canvas.getContext("2d"),
    overlay,
    show({ summary, columns, rows }) {
      canvas.setAttribute("aria-label", summary);
      parts.put({ columns, rows });
    },
  };
}
