/** Formulas as MathML nodes: browsers draw it, screen readers read it, nothing is shipped for it. */
const MATHML = "http://www.w3.org/1998/Math/MathML";

function node(name, ...children) {
  const made = document.createElementNS(MATHML, name);
  made.append(...children);
  return made;
}

/** A string as identifier, number or sign; nodes stay what they are. */
function token(part) {
  if (typeof part !== "string" && typeof part !== "number") return part;
  const written = String(part);
  if (/^[\d.,]+$/.test(written)) return node("mn", written);
  if (/^[\p{L}]+[′']*$/u.test(written)) return node("mi", written);
  return node("mo", written);
}

/** Parts side by side; a string with spaces is cut at them: row("p = q"). */
export function row(...parts) {
  return node(
    "mrow",
    ...parts.flatMap((part) => (typeof part === "string" ? part.split(/\s+/).filter(Boolean) : [part])).map(token),
  );
}

const one = (part) => (typeof part === "string" && /\s/.test(part) ? row(part) : token(part));

/** A formula of its own line. */
export function math(...parts) {
  const made = node("math", row(...parts));
  made.setAttribute("display", "block");
  return made;
}

/** A formula within a sentence. */
export const inline = (...parts) => node("math", row(...parts));

export const frac = (above, below) => node("mfrac", one(above), one(below));
export const sub = (base, index) => node("msub", one(base), one(index));
export const sup = (base, exponent) => node("msup", one(base), one(exponent));
export const subsup = (base, index, exponent) => node("msubsup", one(base), one(index), one(exponent));
export const sqrt = (...parts) => node("msqrt", row(...parts));

/** A sum over `below`, with an upper limit where one is given. */
export function sum(below, above) {
  const sign = node("mo", "∑");
  return above === undefined ? node("munder", sign, one(below)) : node("munderover", sign, one(below), one(above));
}

/** Words within a formula. */
export const text = (words) => node("mtext", words);
