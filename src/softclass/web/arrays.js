/** Arrays as answers hold them: {dtype, shape, base64} or, in one file with their bytes, {dtype, shape, offset}. */

const TYPES = {
  float32: Float32Array, float64: Float64Array, uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array,
};

/** The bytes behind a text in base64. */
export function bytesOfBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** A text in base64 for bytes. */
export function base64Of(bytes) {
  let letters = "";
  for (let at = 0; at < bytes.length; at += 0x8000) letters += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(letters);
}

/**
 * Fill numbers whose bytes stand apart in a file: the first ones of all of them, then the second ones and so on.
 * They are the bytes of the numbers themselves, or count the steps from the least number on.
 */
function fillFromPlanes(values, file, { offset, step, least, bytes = values.BYTES_PER_ELEMENT }) {
  if (step !== undefined) values.fill(least * step);
  const own = new Uint8Array(values.buffer);
  for (let plane = 0, from = offset; plane < bytes; plane += 1) {
    const unit = 256 ** plane * step;
    if (step === undefined) for (let to = plane; to < own.length; to += bytes, from += 1) own[to] = file[from];
    else for (let at = 0; at < values.length; at += 1, from += 1) values[at] += file[from] * unit; // exact
  }
}

/** Logits that follow from what stands in the file anyway: inputs of shape [D, N], place by place, and one layer. */
function linearLogits(values, { inputs, weight, bias }) {
  const [places, n] = inputs.shape;
  for (let row = 0, at = 0; row < n; row += 1) {
    for (let k = 0; k < bias.length; k += 1, at += 1) {
      let sum = bias[k];
      for (let place = 0; place < places; place += 1) sum += inputs[place * n + row] * weight[k * places + place];
      values[at] = sum;
    }
  }
}

/**
 * A typed array with its shape.
 * @param {{dtype: string, shape: number[], base64?: string, offset?: number, step?: number, least?: number,
 *   bytes?: number, linear?: object}} packed little-endian values, rows first; see softclass.server.arrays
 * @param {Uint8Array} [file] the bytes that `offset` counts in
 * @returns {Float32Array | Float64Array | Uint8Array | Uint16Array | Int32Array} with a property `shape`
 */
function decodeArray(packed, file) {
  const Type = TYPES[packed.dtype];
  if (Type === undefined) throw new TypeError(`no array can hold ${packed.dtype}`);
  const length = packed.shape.reduce((product, size) => product * size, 1);
  const bytes = packed.base64 === undefined ? null : bytesOfBase64(packed.base64);
  if (bytes !== null && bytes.length !== length * Type.BYTES_PER_ELEMENT) {
    throw new RangeError(`${bytes.length} bytes do not fill the shape ${packed.shape}`);
  }
  const values = bytes === null ? new Type(length) : new Type(bytes.buffer);
  if (packed.linear) linearLogits(values, decodeAll(packed.linear, file));
  else if (bytes === null) fillFromPlanes(values, file, packed);
  return Object.assign(values, { shape: [...packed.shape] });
}

/**
 * An array of bytes as the server takes it.
 * @param {Uint8Array} values with a property `shape`
 */
export function encodeBytes(values) {
  return { dtype: "uint8", shape: values.shape, base64: base64Of(values) };
}

/**
 * An answer with all its arrays decoded; everything else stays as it is.
 * @param {unknown} value JSON
 * @param {Uint8Array} [file] the bytes that offsets count in
 */
export function decodeAll(value, file) {
  if (Array.isArray(value)) return value.map((item) => decodeAll(item, file));
  if (value === null || typeof value !== "object") return value;
  if (typeof value.dtype === "string" && Array.isArray(value.shape)) return decodeArray(value, file);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decodeAll(item, file)]));
}

/**
 * The answer in a file that softclass.server.arrays has packed: inflated, a line of JSON and the bytes of its arrays.
 * @param {ReadableStream<Uint8Array>} stream of the file
 */
export async function unpacked(stream) {
  const inflated = stream.pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(inflated).arrayBuffer());
  const end = bytes.indexOf(10);
  return decodeAll(JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), bytes.subarray(end + 1));
}
