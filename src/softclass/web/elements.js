/** HTML nodes in one line. */

/**
 * An HTML element.
 *
 * @param {string} name
 * @param {Object<string, *>} attributes those that are false or undefined are left out; `style` is for style.css
 * @param {...(Node|string)} children strings become text, never markup
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
