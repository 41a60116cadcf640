/** Formulas as MathML nodes: browsers draw it, screen readers read it, nothing is shipped for it. */
const MATHML = "http://www.w3.org/1998/Math/MathML";

function node(name, ...children) {
  const made = document.createElementNS(MATHML, name);
  made.append(...children);
  return made;
}

/** A word as identifier, number or sign. */
function token(written) {
  if (/^[\d.,]+$/.test(written)) return node("mn", written);
  return node(/^[\p{L}]+[′']*$/u.test(written) ? "mi" : "mo", written);
}

// A sign, perhaps with what stands below and above it: a word, or several in braces.
const PIECE = /([^\s_^{}]+|[{}])(?:_(\{[^{}]*\}|[^\s_^{}]+))?(?:\^(\{[^{}]*\}|[^\s_^{}]+))?/gu;

function pieces(words) {
  return [...words.matchAll(PIECE)].map(([, base, below, above]) => {
    const small = [below, above].filter(Boolean).map((part) => one(part.replace(/^\{|\}$/g, "")));
    if (small.length === 0) return token(base);
    const kind = base === "∑" ? ["munder", "mover", "munderover"] : ["msub", "msup", "msubsup"];
    return node(small.length === 2 ? kind[2] : below ? kind[0] : kind[1], token(base), ...small);
  });
}

/** Parts side by side; a string is cut at its spaces, with _ before what stands below: row("p_k = e^{z_k / T}"). */
export const row = (...parts) =>
  node("mrow", ...parts.flatMap((part) => (typeof part === "string" ? pieces(part) : [part])));

function one(part) {
  if (typeof part !== "string") return part;
  const found = pieces(part);
  return found.length === 1 ? found[0] : node("mrow", ...found);
}

/** A formula of its own line. */
export function math(...parts) {
  const made = node("math", row(...parts));
  made.setAttribute("display", "block");
  return made;
}

export const frac = (above, below) => node("mfrac", one(above), one(below));
export const sup = (base, exponent) => node("msup", one(base), one(exponent));
export const sqrt = (...parts) => node("msqrt", row(...parts));

/** Words within a formula. */
export const text = (words) => node("mtext", words);
