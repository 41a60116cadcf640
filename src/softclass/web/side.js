/** The right column: what to notice, the formula, its derivation, things to try. */
import { element } from "softclass/elements";

/**
 * The right column of a panel. Each part appears with its first call; a later call replaces its content.
 * @param {{t: function, change: function(Object): void}} page
 * @returns {{notice: function(...string), formula: function(...Node), derivation: function(...Node|string),
 *   tryThis: function(string, Object<string, Object>)}} `tryThis(words, {name: state})`: the text is `words.name`
 */
export function sideOf(column, { t, change }) {
  const parts = ["remarks", "formula", "derivation", "try"].map((name) =>
    element("section", { class: name, hidden: "" }),
  );
  column.append(...parts);
  const [remarks, formula, derivation, attempts] = parts;
  const title = (key) => element("h2", t(key));
  const show = (part, ...content) => {
    part.hidden = false;
    part.replaceChildren(...content);
  };
  const paragraph = (content) => (typeof content === "string" ? element("p", content) : content);
  return {
    notice: (...sentences) => show(remarks, title("page.notice"), ...sentences.map(paragraph)),
    formula: (...nodes) => show(formula, title("page.formula"), ...nodes.map(paragraph)),
    derivation(...nodes) {
      const open = derivation.querySelector("details")?.open ?? false;
      const details = element("details", element("summary", t("page.derivation")), ...nodes.map(paragraph));
      details.open = open;
      show(derivation, details);
    },
    tryThis(words, states) {
      const items = Object.entries(states).map(([name, state]) => {
        const press = element("button", { type: "button", class: "try-this" }, t(`${words}.${name}`));
        press.addEventListener("click", () => change(state));
        return element("li", press);
      });
      show(attempts, title("page.try"), element("ul", ...items));
    },
  };
}
