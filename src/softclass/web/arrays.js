/** Arrays as answers hold them: {dtype, shape, base64} or, beside one file of bytes, {dtype, shape, offset}. */

const TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  int32: Int32Array,
};

/**
 * The bytes behind a text in base64.
 * @param {string} text
 * @returns {Uint8Array}
 */
export function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/**
 * A text in base64 for bytes.
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function base64Of(bytes) {
  let letters = "";
  for (let at = 0; at < bytes.length; at += 0x8000) letters += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(letters);
}

/**
 * A typed array with its shape.
 * @param {{dtype: string, shape: number[], base64?: string, offset?: number}} packed little-endian values, rows first
 * @param {ArrayBuffer} [file] the bytes that `offset` counts in
 * @returns {Float32Array | Float64Array | Uint8Array | Uint16Array | Int32Array} with a property `shape`
 */
export function decodeArray(packed, file) {
  const Type = TYPES[packed.dtype];
  if (Type === undefined) throw new TypeError(`no array can hold ${packed.dtype}`);
  const length = packed.shape.reduce((product, size) => product * size, 1);
  const size = length * Type.BYTES_PER_ELEMENT;
  const bytes = packed.base64 === undefined ? new Uint8Array(file, packed.offset, size) : bytesOf(packed.base64);
  if (bytes.length !== size) {
    throw new RangeError(`${size} bytes are needed for the shape ${packed.shape}; there are ${bytes.length}`);
  }
  // A copy begins at a multiple of the size of its numbers, wherever the original began.
  return Object.assign(new Type(bytes.slice().buffer), { shape: [...packed.shape] });
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
 * @param {ArrayBuffer} [file] the bytes that offsets count in
 */
export function decodeAll(value, file) {
  if (Array.isArray(value)) return value.map((item) => decodeAll(item, file));
  if (value === null || typeof value !== "object") return value;
  if (typeof value.dtype === "string" && Array.isArray(value.shape)) return decodeArray(value, file);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decodeAll(item, file)]));
}
