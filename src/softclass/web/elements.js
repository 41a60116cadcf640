/** Nodes of the page. */

/**
 * An element.
 *
 * @param {string} name
 * @param {Object<string, *>} attributes those that are null, undefined or false are left out; true is an empty one
 * @param {...(Node|string)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false)
      made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/** Names and values with a line of detail, as a list of the page's readings. */
export function readingNodes(entries) {
  return entries.map(([name, value, detail]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, detail))),
  );
}
