/** The state in the address: links, history, and the button that goes back. */
import { FIELDS, decode, encode } from "softclass/state";

const PAUSE = 100; // milliseconds between two changes of the address while something is dragged

/**
 * Read the address now and keep it equal to the store from `follow` on.
 *
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
        history.replaceState(null, "", address(current()));
      };
      store.watch(keys, () => {
        const elsewhere = store.get("p") !== panel || store.get("tour") !== tour;
        [panel, tour] = [store.get("p"), store.get("tour")];
        if (`#${current()}` === location.hash || (current() === "" && location.hash === "")) return;
        if (elsewhere) {
          clearTimeout(timer);
          timer = null;
          history.pushState(null, "", address(current()));
        } else if (timer === null) timer = setTimeout(replace, PAUSE);
      });
      addEventListener("popstate", () => {
        const read = decode(location.hash);
        clearTimeout(timer);
        timer = null;
        [panel, tour] = [read.state.p, read.state.tour]; // the history holds this place already
        store.set(read.state);
        tell(read.notices);
      });
      replace(); // the canonical form; whatever is not state (a token) leaves the address
    },
  };
}
