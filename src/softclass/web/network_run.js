/** One input through the model: computed here where the page knows every layer, else by the server of the model. */
import { createNetwork, evidenceMap, isKnown, scalePixels } from "softclass/network";
import { softmax } from "softclass/softmax";

/**
 * What runs a model.
 * @param {{input: object, layers: object[], classes: string[], temperature: number}} model
 * @param {Object<string, Float32Array> | null} weights null where the page cannot compute the network by itself
 * @param {{forward: function}} source
 * @returns {{isHere: boolean, run: function(Uint8Array|Object<string, *>): (object|Promise<object>)}} `run` takes the
 *   pixels of an image (height x width x channels) or a row and gives `{layers, arrays, input, outputs, z, evidence}`:
 *   z are the logits of the model, after its temperature; `evidence(k)` splits z_k over the image, null if it cannot
 */
export function createRunner(model, weights, source) {
  const { layers, input, temperature } = model;
  const isHere = weights !== null && input.shape !== undefined && isKnown(layers);
  const network = isHere ? createNetwork(layers, weights, input.shape) : null;
  const scaled = (pixels) => ({ shape: input.shape, data: scalePixels(pixels, input.shape, input.mean, input.std) });

  const here = (pixels) => {
    const result = network.forward(scaled(pixels).data);
    const evidence = (k) => {
      const split = evidenceMap(network, result, weights, k);
      if (split === null) return null;
      const [map, bias] = [split.map.map((part) => part / temperature), split.bias / temperature];
      return { map, bias, shape: split.shape, z: split.logit / temperature };
    };
    return finished(
      result.input,
      result.outputs,
      Float64Array.from(result.logits, (logit) => logit / temperature),
      evidence,
    );
  };
  const there = async (given) => {
    const isImage = input.shape !== undefined;
    const [channels, height, width] = input.shape ?? [];
    const image = isImage ? Object.assign(given, { shape: [height, width, channels] }) : undefined;
    const answer = await source.forward(isImage ? { image } : { row: given });
    const outputs = layers.map(({ name, output }) => ({ shape: output, data: answer.activations[name] }));
    return finished(isImage ? scaled(given) : null, outputs, Float64Array.from(answer.logits), () => null);
  };
  const finished = (first, outputs, z, evidence) => ({ layers, arrays: weights, input: first, outputs, z, evidence });
  return { isHere, run: (given) => (isHere ? here(given) : there(given)) };
}

/**
 * Probabilities and the classes that are looked at.
 * @param {Float64Array} z logits
 * @param {number} T temperature on top of the model's own
 * @param {string|number} chosen "top" or a class
 * @param {string|number} against "second", "none" or a class
 * @returns {{p: number[], order: number[], first: number, second: ?number}} classes by probability, the chosen one and
 *   what it is compared with
 */
export function chosenClasses(z, T, chosen, against) {
  const p = [...softmax([...z], T)];
  const order = p.map((_, k) => k).sort((a, b) => z[b] - z[a] || a - b);
  const first = typeof chosen === "number" && chosen < p.length ? chosen : order[0];
  const other = against === "second" ? order.find((k) => k !== first) : against;
  return { p, order, first, second: typeof other === "number" && other < p.length && other !== first ? other : null };
}
