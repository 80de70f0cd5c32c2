// @ts-check
/** How late things are seen: what the operator did, and what the page showed. Pure; times are milliseconds. */

const KEPT = 15;
/** What has shown no effect by then had none. */
const NO_EFFECT_MS = 1000;
const WINDOW_MS = 30000;
/** Messages that change what is seen, when the page wants it. */
const EFFECTIVE = new Set(['button', 'wheel', 'key', 'text', 'compose', 'paste', 'touch', 'tab']);

/** Measures one connection. */
export class Latency {
  /** @type {number | null} */
  #waiting = null;
  /** @type {number[]} */
  #inputs = [];
  /** @type {number[]} */
  #pictures = [];
  /** The quickest way of a picture, in microseconds between two clocks, in this window and the one before. */
  #best = { since: -Infinity, now: 0, before: 0 };

  /**
   * Input went out.
   * @param {{t?: string, d?: boolean}} message
   * @param {number} now
   */
  sent({ t = '', d = true }, now) {
    if (!d || !EFFECTIVE.has(t)) return;
    if (this.#waiting === null || now - this.#waiting > NO_EFFECT_MS) this.#waiting = now;
  }

  /**
   * A frame is on the canvas.
   * @param {number} taken microseconds by the server's clock, modulo 2³²
   * @param {number} now
   * @param {number} rtt the shortest round trip known, 0 for none
   */
  painted(taken, now, rtt) {
    const offset = Math.round(now * 1000 - taken) | 0;
    const best = this.#best;
    if (now - best.since > WINDOW_MS) {
      // clocks drift apart: what was quickest long ago says nothing now
      const stale = now - best.since > 2 * WINDOW_MS;
      this.#best = { since: now, now: offset, before: stale ? offset : best.now };
    } else if (((offset - best.now) | 0) < 0) best.now = offset;
    const late = Math.max((offset - this.#best.now) | 0, (offset - this.#best.before) | 0) / 1000;
    keep(this.#pictures, late + rtt / 2);
    if (this.#waiting === null) return;
    const took = now - this.#waiting;
    // what is painted sooner than any answer can come was on its way before the input was
    if (took < rtt) return;
    if (took <= NO_EFFECT_MS) keep(this.#inputs, took);
    this.#waiting = null;
  }

  /** From input to the first picture after it: the median of the last ones, 0 while there is none. */
  get input() {
    return median(this.#inputs);
  }

  /** From the screen's change to its picture on the canvas, but for the work before the grab; the median, 0 for none. */
  get picture() {
    return median(this.#pictures);
  }
}

/** @param {number[]} list @param {number} value */
function keep(list, value) {
  list.push(value);
  if (list.length > KEPT) list.shift();
}

/** @param {number[]} list */
function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length ? Math.round(sorted[sorted.length >> 1] * 10) / 10 : 0;
}
