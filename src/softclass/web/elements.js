/** Nodes of the page. */

/**
 * An element; its classes stand behind its name: `element("p.hint", words)`.
 * @param {string} name
 * @param {...(Object<string, *>|Node|string)} parts attributes first, if any: those that are null, undefined or false
 *   are left out, true is an empty one; then the children
 */
export function element(name, ...parts) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length > 0) made.className = classes.join(" ");
  const attributes = typeof parts[0] === "object" && !(parts[0] instanceof Node) ? parts.shift() : {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false)
      made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...parts);
  return made;
}

/** Names and values with a line of detail, as a list of the page's readings. */
export function readingNodes(entries) {
  return entries.map(([name, value, detail]) =>
    element("div", element("dt", name), element("dd", value, element("small", detail))),
  );
}
