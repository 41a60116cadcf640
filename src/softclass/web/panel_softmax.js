/** Panel 1: from scores to probabilities. */
import { numbers } from "softclass/controls";
import { letter, register } from "softclass/text";
import { words } from "softclass/text_softmax";

register(words);
export const key = "softmax";
export const fields = ["z", "T", "shift", "view"];

/** Build the panel into place.main. */
export function view(place) {
  place.main.append(numbers(place, { key: "z", label: place.t("softmax.scores"), min: -10, max: 10, names: letter }));
  return { close() {} };
}
