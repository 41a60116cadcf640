/** The input of a table model: one cell a column. What is typed goes to the server of the model and nowhere else. */
import { button } from "softclass/controls";
import { element } from "softclass/elements";

const WAIT = 250; // milliseconds without a key before the row is asked for
// What somebody typed stays when the language changes; it never enters the address.
let typed = null;

/** The cells to begin with: those of a known row, else what stands in for a missing cell. */
function startOf(columns, row) {
  const fallback = {
    number: (column) => String(column.fill ?? ""),
    boolean: (column) => column.true,
    category: (column) => column.categories[0],
  };
  return Object.fromEntries(
    columns.map((column) => [column.name, row?.[column.name] ?? fallback[column.kind]?.(column) ?? ""]),
  );
}

/** An input for one column. */
function cellOf(place, column, value, id) {
  const { t } = place;
  const options =
    column.kind === "category" ? column.categories : column.kind === "boolean" ? [column.true, column.false] : null;
  if (options !== null) {
    const list = element("select", { id }, element("option", { value: "" }, t("digit.row.missing")));
    for (const option of new Set([...options, ...(value === "" ? [] : [value])])) {
      list.append(element("option", { value: option }, option));
    }
    list.value = value;
    return list;
  }
  const { minimum, maximum, kind } = column;
  // As a cell holds them: a year has no separator of thousands.
  const ends = { minimum: String(minimum), maximum: String(maximum) };
  const range = minimum === null || minimum === undefined ? "" : t("digit.row.range", ends);
  const box = element("input", {
    id, class: "box", inputmode: kind === "number" ? "decimal" : "text", placeholder: t("digit.row.missing"),
  });
  box.value = value;
  box.title = range;
  return box;
}

/**
 * The card with the form.
 * @param {object} model answer of the source
 * @param {function(Object<string, ?string>): void} give takes the cells by column; null is a missing cell
 * @returns {Promise<{element: HTMLElement, result: HTMLElement, close: function}>}
 */
export async function rowInput(place, model, give) {
  const { t } = place;
  const { columns } = model.input;
  const [name] = await place.source.evaluations();
  const evaluation = name === undefined ? null : await place.source.evaluation(name);
  const known = evaluation === null || evaluation.row(0) === null ? null : evaluation;
  let at = 0;
  let timer = null;
  typed ??= startOf(columns, known?.row(0));
  const list = element("div.row-cells");

  const send = () =>
    give(
      Object.fromEntries(columns.map((column) => [column.name, typed[column.name] === "" ? null : typed[column.name]])),
    );
  const change = (column, value) => {
    typed[column.name] = value;
    clearTimeout(timer);
    timer = setTimeout(send, WAIT);
  };
  const fill = () => {
    const cells = columns.map((column, i) => {
      const id = `cell-${i}`;
      const input = cellOf(place, column, typed[column.name] ?? "", id);
      input.addEventListener("input", () => change(column, input.value.trim()));
      return element("div.control", element("label", { for: id }, column.name), input);
    });
    list.replaceChildren(...cells);
    send();
  };
  const another = button(place, {
    label: t("digit.row.another"),
    press() {
      at = (at + 1) % known.n;
      typed = startOf(columns, known.row(at));
      fill();
      place.say(t("digit.row.shown", { number: at + 1 }));
    },
  });
  another.hidden = known === null;
  const result = element("div.digit-answer");
  const card = element(
    "section.card.stack",
    { "aria-label": t("digit.row") },
    list,
    element("div.buttons", another),
    result,
  );
  fill();
  return { element: card, result, close: () => clearTimeout(timer) };
}
