/**
 * Random numbers from a seed, the same in Python and here: a link, a test and a figure show the same points.
 *
 * One 32-bit generator (mulberry32); normals by Box and Muller, permutations by Fisher and Yates.
 */

/**
 * A generator of random numbers.
 * @param {number} seed - a whole number from 0 to 2^32 - 1
 * @returns {{next: () => number, normal: () => number, permutation: (n: number) => number[]}}
 *   `next` is uniform in [0, 1), `normal` has mean 0 and variance 1, `permutation` orders 0 to n - 1
 */
export function generator(seed) {
  let state = seed >>> 0;

  function next() {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  function normal() {
    let radius = next();
    while (radius === 0) radius = next();
    const angle = next();
    return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
  }

  function permutation(n) {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i -= 1) {
      const j = Math.floor(next() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  return { next, normal, permutation };
}
