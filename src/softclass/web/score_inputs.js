/** What the panels of scores share: the scores, as many as classes are wanted, and what needs exactly three of them. */
import { button, numbers } from "softclass/controls";
import { element } from "softclass/elements";
import { FIELDS } from "softclass/state";
import { letter } from "softclass/text";

/** Sliders for the scores, and buttons for one class more or less: nodes, the buttons hidden where the scores are. */
export function scoreInputs(place) {
  const { t, store } = place;
  const add = button(place, { label: t("softmax.add"), press: () => store.set({ z: [...store.get("z"), 0] }) });
  const shorten = () => store.set({ z: store.get("z").slice(0, -1) });
  const remove = button(place, { label: t("softmax.remove"), press: shorten });
  place.watch(["z"], (z) => {
    add.disabled = z.length >= FIELDS.z.most;
    remove.disabled = z.length <= FIELDS.z.least;
  });
  const size = element("div.buttons", add, remove);
  size.hidden = store.get("hide").includes("z");
  return [numbers(place, { key: "z", label: t("softmax.scores"), min: -10, max: 10, names: letter }), size];
}

/**
 * What stands in the place of a triangle where there are more or fewer classes.
 * @returns {{nodes: HTMLElement[], tell: function(number): void}} the reason and a button; `tell(K)` how many there are
 */
export function threeNeeded(place) {
  const { t, store } = place;
  const reason = element("p.hint");
  const press = () => store.set({ z: [...store.get("z"), 0].slice(0, 3) });
  const repair = button(place, { label: t("softmax.simplex.make"), press });
  repair.hidden = store.get("hide").includes("z");
  const tell = (K) => {
    reason.textContent = t("softmax.simplex.three", { K });
  };
  return { nodes: [reason, repair], tell };
}
