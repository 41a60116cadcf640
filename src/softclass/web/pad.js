/** The drawing pad: pointer or keyboard, strokes that can be taken back. */
import { button } from "softclass/controls";
import { PAD, paintLine, painted } from "softclass/pen";

const STEP = 7; // pixels that an arrow key moves
const NEAR = 1.5; // pixels: nearer points are one
const STEPS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/**
 * A pad.
 * @param {{change: function(number[][][], boolean): void, example: ?function(number): void}} tell `change` gives the
 *   strokes while they are drawn and, with true, when one is finished or taken back; `example` a digit that was typed,
 *   null where there are no examples
 * @returns {{element: HTMLElement, show: function(number[][][]): void, back: function(CanvasImageSource): void,
 *   pixels: function(): Uint8Array}} `show` puts strokes on the pad, `back` a picture that the first stroke replaces,
 *   `pixels` is the drawing, PAD x PAD
 */
export function createPad(place, { change, example }) {
  const { t } = place;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: PAD, height: PAD, tabIndex: 0, className: "pad" });
  for (const [name, value] of [
    ["role", "application"], ["aria-label", t("digit.pad")], ["aria-describedby", "pad-keys"],
  ]) {
    canvas.setAttribute(name, value);
  }
  const context = canvas.getContext("2d");
  const image = context.createImageData(PAD, PAD);
  for (let at = 3; at < image.data.length; at += 4) image.data[at] = 255;
  let strokes = [];
  let pixels = painted([]);
  let picture = null;
  let cursor = [PAD / 2, PAD / 2];
  let isDown = false; // of the pen that the keyboard moves

  const undo = button(place, { label: t("digit.undo"), press: () => takeBack() });
  const clear = button(place, { label: t("digit.clear"), press: () => set([], true) });
  const keys = document.createElement("p");
  Object.assign(keys, { id: "pad-keys", className: "hint", textContent: t("digit.pad.keys") });
  if (example !== null) keys.append(" ", t("digit.pad.examples"));
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  buttons.append(undo, clear);
  const element = document.createElement("div");
  element.className = "pad-place";
  element.append(canvas, buttons, keys);

  function draw() {
    for (let at = 0; at < pixels.length; at += 1) image.data.fill(pixels[at], 4 * at, 4 * at + 3);
    context.putImageData(image, 0, 0);
    if (picture !== null) {
      context.imageSmoothingEnabled = false;
      const scale = PAD / Math.max(picture.width, picture.height);
      const [width, height] = [picture.width * scale, picture.height * scale];
      context.drawImage(picture, (PAD - width) / 2, (PAD - height) / 2, width, height);
    }
    if (canvas.matches(":focus-visible")) cross();
    undo.disabled = strokes.length === 0;
    clear.disabled = strokes.length === 0 && picture === null;
  }
  function cross() {
    const [x, y] = cursor;
    context.lineWidth = isDown ? 4 : 2;
    context.strokeStyle = "#8fb2ff";
    context.beginPath();
    context.arc(x, y, 10, 0, 2 * Math.PI);
    context.moveTo(x - 15, y);
    context.lineTo(x + 15, y);
    context.moveTo(x, y - 15);
    context.lineTo(x, y + 15);
    context.stroke();
  }
  function set(next, tell) {
    strokes = next;
    picture = null;
    isDown = false;
    pixels = painted(strokes);
    draw();
    if (tell) change(strokes, true);
  }
  const takeBack = () => {
    if (strokes.length > 0) set(strokes.slice(0, -1), true);
  };
  const begin = (point) => {
    if (picture !== null) set([], false);
    strokes = [...strokes, [point]];
    paintLine(pixels, point, point);
  };
  const extend = (point) => {
    const stroke = strokes.at(-1);
    const last = stroke.at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < NEAR) return;
    stroke.push(point);
    paintLine(pixels, last, point);
  };
  const inside = (value) => Math.min(Math.max(Math.round(value), 0), PAD);
  const pointOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return [
      inside(((event.clientX - box.left) * PAD) / box.width),
      inside(((event.clientY - box.top) * PAD) / box.height),
    ];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    begin(pointOf(event));
    draw();
    change(strokes, false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId) || strokes.length === 0) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const one of passed.length > 0 ? passed : [event]) extend(pointOf(one));
    draw();
    change(strokes, false);
  });
  const finish = (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    canvas.releasePointerCapture(event.pointerId);
    change(strokes, true);
  };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);

  const lift = () => {
    if (isDown) change(strokes, true);
    isDown = false;
  };
  const lower = () => {
    begin([...cursor]);
    isDown = true;
    change(strokes, false);
  };
  const press = (name) => {
    if (name in STEPS) {
      cursor = cursor.map((value, axis) => inside(value + STEP * STEPS[name][axis]));
      if (isDown) {
        extend([...cursor]);
        change(strokes, false);
      }
    } else if (name === " ") {
      if (isDown) lift();
      else lower();
      place.say(t(isDown ? "digit.pen.down" : "digit.pen.up"));
    } else if (name === "Escape") lift();
    else if (name === "u" || name === "U") takeBack();
    else if (name === "Delete" || name === "Backspace") set([], true);
    else if (example !== null && /^\d$/.test(name)) example(Number(name));
    else return false;
    return true;
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !press(event.key)) return;
    event.preventDefault();
    draw();
  });
  canvas.addEventListener("focus", draw);
  canvas.addEventListener("blur", () => {
    lift();
    draw();
  });

  draw();
  return {
    element,
    show: (next) => set(next, false),
    back(next) {
      set([], false);
      picture = next;
      draw();
    },
    pixels: () => pixels,
  };
}
