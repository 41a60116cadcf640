/** The state in the address: links, history, and the button that goes back. */
import { FIELDS, decode, encode } from "softclass/state";

const PAUSE = 100; // milliseconds between two changes of the address while something is dragged
const OWN = { written: "here" }; // marks the places that this page put into the history; links have none

/**
 * Read the address now and keep it equal to the store from `follow` on.
 * @param {function({key: string, reason: string}[]): void} tell hears what could not be taken as written
 * @returns {{state: Object, notices: object[], follow: function(object): void}}
 */
export function openAddress(tell) {
  const { state, notices } = decode(location.hash);
  const keys = Object.keys(FIELDS);
  return {
    state,
    notices,
    follow(store) {
      let timer = null;
      let [panel, tour] = [store.get("p"), store.get("tour")];
      const current = () => encode(Object.fromEntries(keys.map((key) => [key, store.get(key)])));
      const address = (fragment) => (fragment === "" ? location.pathname + location.search : `#${fragment}`);
      const replace = () => {
        timer = null;
        history.replaceState(OWN, "", address(current()));
      };
      store.watch(keys, () => {
        const elsewhere = store.get("p") !== panel || store.get("tour") !== tour;
        [panel, tour] = [store.get("p"), store.get("tour")];
        if (`#${current()}` === location.hash || (current() === "" && location.hash === "")) return;
        if (elsewhere) {
          clearTimeout(timer);
          timer = null;
          history.pushState(OWN, "", address(current()));
        } else if (timer === null) timer = setTimeout(replace, PAUSE);
      });
      addEventListener("popstate", (event) => {
        const read = decode(location.hash);
        // Who chose a language and goes back wants the place before, not the language before.
        const lang = event.state?.written === OWN.written ? store.get("lang") : read.state.lang;
        clearTimeout(timer);
        timer = null;
        [panel, tour] = [read.state.p, read.state.tour]; // the history holds this place already
        store.set({ ...read.state, lang });
        tell(read.notices);
      });
      replace(); // the canonical form; whatever is not state (a token) leaves the address
    },
  };
}
