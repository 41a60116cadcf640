/** What can go wrong with data, as a sentence in the language of the page. */
import { register, t } from "softclass/text";
import { words as csvWords } from "softclass/text_csv";
import { words } from "softclass/text_source";

register("csv", csvWords);
register("source", words);

/** An error to show: `key` and `values` name the sentence that `message` is. */
export class SourceError extends Error {
  /**
   * @param {string} key of text_source.js or text_csv.js
   * @param {Record<string, string | number>} [values]
   * @param {number} [status] of HTTP, where a server refused
   */
  constructor(key, values = {}, status = 0) {
    super(t(key, values));
    this.name = "SourceError";
    this.key = key;
    this.values = values;
    this.status = status;
  }
}
