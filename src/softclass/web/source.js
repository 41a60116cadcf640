/**
 * Where data come from: the server of a model, the demo that is shipped, the bundle inside an exported page, and files
 * that somebody drops on the page. All of them give the same answers, with their arrays decoded.
 */
import { decodeAll, encodeBytes, unpacked } from "softclass/arrays";
import { CsvError, readCsv } from "softclass/csv";
import { evaluationOf } from "softclass/dropped";
import { SourceError } from "softclass/source_error";

const API = "/explore/api/";
const DEMO = "/explore/assets/demo/bundle.bin";
const KEPT = "softclass-token";
const LARGEST_FILE = 64 * 2 ** 20;

/**
 * @typedef {object} Evaluation rows of known class with what the model says
 * @property {string} name
 * @property {number} n rows that are here
 * @property {number} total rows that there were; more than n where a seeded sample was taken
 * @property {string[]} classes
 * @property {{data: Float32Array, shape: number[]}} logits after the temperature of the model, n x K
 * @property {Int32Array} targets class numbers, -1 for a class unknown to the model
 * @property {Uint8Array} role 0 test, 1 calibration
 * @property {Float64Array} [u] a uniform number a row, for randomised scores; without, those of a generator
 * @property {string[] | null} places where each row stands
 * @property {string | null} said a key of what a reader must know, such as source.from_probabilities
 * @property {(i: number) => HTMLCanvasElement | null} picture
 * @property {(i: number) => Record<string, string> | null} row
 */

/** The token of the address, which is taken out of it and lives as long as this tab. */
function takeToken() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given !== null) {
    const rest = location.hash.slice(1).split("&").filter((part) => !part.startsWith("token="));
    const address = rest.length > 0 ? `#${rest.join("&")}` : location.pathname + location.search;
    history.replaceState(history.state, "", address);
    sessionStorage.setItem(KEPT, given);
    return given;
  }
  return sessionStorage.getItem(KEPT);
}

/** Ask the server of the model; a refusal becomes a SourceError with the sentence of the server. */
async function ask(token, path, body) {
  const options = { headers: { authorization: `Bearer ${token}` }, cache: "no-store", redirect: "error" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(API + path, options);
  } catch {
    throw new SourceError("source.gone");
  }
  if (response.status === 401) throw new SourceError("source.token");
  const answer = await response.json();
  if (!response.ok) {
    const { code, message, where, hint } = answer.error;
    const sentence = `[${code}] ${where === "" ? "" : `${where}: `}${message}${hint === "" ? "" : `. ${hint}`}`;
    throw new SourceError("source.refused", { sentence }, response.status);
  }
  return decodeAll(answer);
}

async function fetchDemo() {
  const response = await fetch(DEMO);
  if (!response.ok) throw new SourceError("source.no_demo");
  return unpacked(response.body);
}

/** Cut pictures out of the one PNG that holds them all, or put the greys of the demo together, place by place. */
async function picturesOf(thumbnails) {
  if (thumbnails === null || thumbnails === undefined) return () => null;
  const { width, height, columns, png, grey, white } = thumbnails;
  if (grey) {
    const { pixelsOf } = await import("softclass/raster");
    const n = grey.shape[1];
    const light = (i) => Uint8Array.from({ length: height * width }, (_, at) => (255 * grey[at * n + i]) / white);
    return (i) => (i < n ? pixelsOf(light(i), height, width, 1) : null);
  }
  const sheet = await createImageBitmap(new Blob([png], { type: "image/png" }));
  return (i) => {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const [x, y] = [(i % columns) * width, Math.floor(i / columns) * height];
    if (y >= sheet.height) return null;
    canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
    return canvas;
  };
}

/** @returns {Promise<Evaluation>} */
async function opened(answer) {
  const { logits, rows = null, thumbnails, places = null } = answer;
  const picture = await picturesOf(thumbnails);
  const cellsOf = (i) => rows.columns.map((name, at) => [name, rows.cells[i][at]]);
  const row = (i) => (rows === null ? null : Object.fromEntries(cellsOf(i)));
  const shaped = { data: logits, shape: logits.shape };
  return { total: answer.n, said: null, ...answer, logits: shaped, places, picture, row };
}

/** Remember what a function gave by the name it was asked for; a failure is forgotten, so that one may try again. */
function rememberedByName(make) {
  const known = new Map();
  return (name) => {
    if (!known.has(name)) {
      const promise = make(name);
      promise.catch(() => known.delete(name));
      known.set(name, promise);
    }
    return known.get(name);
  };
}

const isImage = (file) => file.type.startsWith("image/") || /\.(png|jpe?g|gif|bmp|webp|avif)$/i.test(file.name);

/**
 * The source of this page.
 *
 * - `kind`: "demo", "server" or "bundle".
 * - `model() weights() evaluations() evaluation(name) columns(x, y) digits() curves() iris()`: promises of the answers;
 *   `weights()` gives null where the page cannot compute this network by itself.
 * - `forward({image} | {row})`: every activation for one input, from the server of the model; an exported page knows
 *   those of its first rows.
 * - `dropped(file)`: what a file holds: `{kind: "image", name, picture}`, `{kind: "evaluation", name}` (from then on
 *   among the evaluations) or `{kind: "table", name, table}` (as readCsv gives it: features).
 * @throws {SourceError} all promises; `message` is a sentence in the language of the page, `key` names it
 */
export function createSource() {
  const kind = document.querySelector("meta[name=softclass-source]")?.content ?? "demo";
  const token = takeToken();
  const added = new Map();
  const inPage = async () => decodeAll(JSON.parse(document.querySelector("#bundle").textContent));
  const shipped = rememberedByName(kind === "bundle" ? inPage : fetchDemo);

  const part = async (name) => {
    const answer = (await shipped(""))[name];
    if (answer === undefined) throw new SourceError("source.absent", { name });
    return answer;
  };
  const answerOf = (name, path) => (kind === "server" ? ask(token, path) : part(name));

  const model = rememberedByName(() => answerOf("model", "model"));
  const weights = rememberedByName(async () => {
    const { has_weights: known } = await model("");
    return known === false ? null : answerOf("weights", "weights");
  });
  const evaluation = rememberedByName(async (name) => {
    if (added.has(name)) return opened(added.get(name));
    return opened(await answerOf(`evaluation:${name}`, `evaluation/${encodeURIComponent(name)}`));
  });
  const columns = async (x, y) => {
    if (kind === "server") return ask(token, `columns?${new URLSearchParams({ x, y })}`);
    const { names, values, targets, ...rest } = await part("columns");
    const places = [x, y].map((name) => names.indexOf(name));
    if (places.includes(-1)) throw new SourceError("csv.no_column", { column: places[0] < 0 ? x : y });
    const pairs = Array.from(targets, (_, row) => places.map((place) => values[row * names.length + place]));
    const whole = pairs.flatMap((pair, row) => (pair.every(Number.isFinite) ? [row] : []));
    const gaps = pairs.length - whole.length;
    const points = Float64Array.from(whole.flatMap((row) => pairs[row]));
    return {
      ...rest, names: [x, y], points: Object.assign(points, { shape: [whole.length, 2] }),
      targets: targets.filter((_, row) => pairs[row].every(Number.isFinite)), total: rest.total - gaps,
      missing: rest.missing + gaps,
    };
  };

  const forward = async (input) => {
    const { image, row } = input;
    if (kind === "server") return ask(token, "forward", image === undefined ? { row } : { image: encodeBytes(image) });
    const known = kind === "bundle" && row !== undefined ? ((await shipped("")).forward ?? []) : [];
    const found = known.find((one) => Object.entries(one.row).every(([name, cell]) => (row[name] ?? null) === cell));
    if (found !== undefined) return found.answer;
    const count = known.length;
    throw count > 0 ? new SourceError("source.known_rows", { count }) : new SourceError("source.no_server");
  };

  const dropped = async (file) => {
    if (file.size > LARGEST_FILE) throw new SourceError("source.too_large", { name: file.name, most: "64 MB" });
    if (isImage(file)) {
      try {
        return { kind: "image", name: file.name, picture: await createImageBitmap(file) };
      } catch {
        throw new SourceError("source.not_image", { name: file.name });
      }
    }
    try {
      const table = readCsv(new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()));
      const found = evaluationOf(table, file.name);
      if (found === null) return { kind: "table", name: file.name, table };
      added.set(file.name, found);
      return { kind: "evaluation", name: file.name };
    } catch (error) {
      if (error instanceof CsvError) throw new SourceError(`csv.${error.reason}`, error.values);
      if (error instanceof TypeError) throw new SourceError("source.not_text", { name: file.name });
      throw error;
    }
  };

  return {
    kind, model: () => model(""), weights: () => weights(""),
    evaluations: async () => [...(await model("")).evaluations, ...added.keys()], evaluation, columns,
    digits: () => part("digits"), curves: () => part("curves"), iris: () => part("iris"), forward, dropped,
  };
}
