// @ts-check
/**
 * Datagrams down, as streaming/datagrams/wire.py describes them, put together to messages; what was lost of a message
 * comes back from its repair packets, which are sums over GF(256) (streaming/datagrams/fec.py).
 */

const DATA = 0x11, REPAIR = 0x12, BEAT = 0x13;
const HEADER = 9, PART_HEADER = 21;
const TEXT = 0x80000000;
const MAX_MESSAGE = 8 * 1024 * 1024;
const MAX_BUFFERED = 32 * 1024 * 1024;
const MAX_BLOCK = 64, MAX_REPAIR = 16, LINKED_ROW = 16;

const decoder = new TextDecoder();

// GF(256) with the polynomial 0x11D

const powers = new Uint8Array(510);
const logs = new Uint8Array(256);
for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  powers[exponent] = powers[exponent + 255] = value;
  logs[value] = exponent;
  value = (value << 1) ^ (value & 0x80 ? 0x11d : 0);
}

/** @param {number} a @param {number} b */
const multiply = (a, b) => (a && b ? powers[logs[a] + logs[b]] : 0);

/** @param {number} a @param {number} b not 0 */
const divide = (a, b) => (a ? powers[logs[a] + 255 - logs[b]] : 0);

/** What data packet `column` is multiplied by in repair packet `row`. @param {number} row @param {number} column */
const coefficient = (row, column) => divide(128 ^ column, (128 + row) ^ column);

/** @type {(Uint8Array | undefined)[]} */
const products = [];

/** @param {number} factor */
const times = (factor) => (products[factor] ??= Uint8Array.from({ length: 256 }, (_, value) => multiply(factor, value)));

/** target += factor * part. @param {Uint8Array} target @param {Uint8Array} part @param {number} factor */
function add(target, part, factor) {
  const length = part.length;
  if (factor === 1) {
    for (let i = 0; i < length; i++) target[i] ^= part[i];
  } else {
    const table = times(factor);
    for (let i = 0; i < length; i++) target[i] ^= table[part[i]];
  }
}

/**
 * The unknowns of linear equations over GF(256), at least as many as unknowns; null if they do not say.
 * @param {Uint8Array[]} matrix
 * @param {Uint8Array[]} sums
 */
function solve(matrix, sums) {
  const width = matrix[0].length;
  for (let at = 0; at < width; at++) {
    let pivot = at;
    while (pivot < sums.length && !matrix[pivot][at]) pivot++;
    if (pivot === sums.length) return null;
    [matrix[at], matrix[pivot]] = [matrix[pivot], matrix[at]];
    [sums[at], sums[pivot]] = [sums[pivot], sums[at]];
    const inverse = times(divide(1, matrix[at][at]));
    matrix[at] = matrix[at].map((value) => inverse[value]);
    sums[at] = sums[at].map((value) => inverse[value]);
    for (let row = 0; row < sums.length; row++) {
      const factor = matrix[row][at];
      if (row === at || !factor) continue;
      add(matrix[row], matrix[at], factor);
      add(sums[row], sums[at], factor);
    }
  }
  return sums.slice(0, width);
}

/**
 * @typedef {{packet: number, pieces: number, repair: boolean, number: number, length: number, text: boolean,
 *   index: number, size: number, body: Uint8Array}} Part
 * @typedef {{body: Uint8Array, unknown: {number: number, cut: number, factor: number}[],
 *   known: {factor: number, body: Uint8Array}[]}} Equation
 */

/**
 * What the server sent; a beat has message number 0. Null if it breaks the format.
 * @param {Uint8Array} datagram
 * @returns {Part | null}
 */
export function parse(datagram) {
  if (datagram.length < HEADER) return null;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const first = datagram[0], packet = view.getUint32(1), pieces = view.getUint32(5);
  if (first === BEAT) return { packet, pieces, repair: false, number: 0, length: 0, text: false, index: 0, size: 1, body: datagram };
  if ((first !== DATA && first !== REPAIR) || datagram.length < PART_HEADER) return null;
  const number = view.getUint32(9), said = view.getUint32(13), index = view.getUint16(17), size = view.getUint16(19);
  const text = said >= TEXT, length = text ? said - TEXT : said;
  const body = datagram.subarray(PART_HEADER);
  if (length > MAX_MESSAGE || !size || !number) return null;
  const count = Math.max(1, Math.ceil(length / size));
  if (first === DATA) {
    if (index >= count || body.length !== Math.min(size, length - index * size)) return null;
  } else {
    const blocks = Math.ceil(count / MAX_BLOCK), block = index >> 8;
    const fits = blocks === 1 && block === 1 ? body.length >= size : block < blocks && body.length === size;
    if ((index & 0xff) >= MAX_REPAIR || !fits) return null;
  }
  return { packet, pieces, repair: first === REPAIR, number, length, text, index, size, body };
}

/** A message coming in: its cuts, and repair packets by what the wire calls index. */
class Incoming {
  /** @param {Part} part */
  constructor(part) {
    this.length = part.length;
    this.size = part.size;
    this.text = part.text;
    this.count = Math.max(1, Math.ceil(part.length / part.size));
    this.blocks = Math.ceil(this.count / MAX_BLOCK);
    /** @type {(Uint8Array | undefined)[]} */
    this.cuts = new Array(this.count).fill(undefined);
    this.missing = this.count;
    /** @type {Map<number, Uint8Array>} */
    this.sums = new Map();
    this.linked = false;
  }

  /** @param {number} cut @param {Uint8Array} body */
  put(cut, body) {
    if (this.cuts[cut]) return;
    this.cuts[cut] = body.subarray(0, Math.min(this.size, this.length - cut * this.size));
    this.missing--;
  }

  /** @returns {string | Uint8Array} */
  message() {
    const data = new Uint8Array(this.length);
    this.cuts.forEach((cut, index) => data.set(/** @type {Uint8Array} */ (cut), index * this.size));
    return this.text ? decoder.decode(data) : data;
  }
}

/** Messages coming in, and the sums that bring back what was lost of them. */
export class Assembly {
  /** @type {Map<number, Incoming>} */
  messages = new Map();
  #buffered = 0;

  /** @param {Part} part */
  take(part) {
    let incoming = this.messages.get(part.number);
    if (!incoming) {
      if (this.#buffered + part.length > MAX_BUFFERED) return;
      incoming = new Incoming(part);
      this.messages.set(part.number, incoming);
      this.#buffered += part.length;
    }
    if (part.length !== incoming.length || part.size !== incoming.size || part.text !== incoming.text) return;
    if (part.repair) {
      incoming.sums.set(part.index, part.body);
      incoming.linked ||= incoming.blocks === 1 && part.index >> 8 === 1;
    } else {
      incoming.put(part.index, part.body);
    }
    while (this.#recover(part.number));
  }

  /** @param {number} number */
  drop(number) {
    this.#buffered -= this.messages.get(number)?.length ?? 0;
    this.messages.delete(number);
  }

  /** One round: a sum with one unknown, or else all linked sums together; whether something came back. @param {number} number */
  #recover(number) {
    const equations = this.#equations(number);
    const single = equations.find((one) => one.unknown.length === 1);
    if (single) return this.#put([single]);
    return equations.length > 0 && this.#put(equations);
  }

  /** @param {number} number */
  #equations(number) {
    let first = number, last = number;
    while (this.#linked(first)) first--;
    while (this.#linked(last + 1)) last++;
    /** @type {Equation[]} */
    const found = [];
    for (let one = first; one <= last; one++) {
      const incoming = this.messages.get(one);
      if (!incoming) continue;
      for (const [index, body] of incoming.sums) {
        const equation = this.#equation(one, incoming, index, body);
        if (equation?.unknown.length) found.push(equation);
      }
    }
    return found;
  }

  /** @param {number} number */
  #linked(number) {
    return this.messages.get(number)?.linked && this.messages.has(number - 1);
  }

  /**
   * @param {number} number @param {Incoming} incoming @param {number} index @param {Uint8Array} body
   * @returns {Equation | null} null if what it is made of cannot be told
   */
  #equation(number, incoming, index, body) {
    const linked = incoming.blocks === 1 && index >> 8 === 1, row = index & 0xff;
    /** @type {Equation} */
    const equation = { body, unknown: [], known: [] };
    /** @param {number} of @param {Incoming} from @param {number} cut @param {number} factor */
    const term = (of, from, cut, factor) => {
      const part = from.cuts[cut];
      if (part) equation.known.push({ factor, body: part });
      else equation.unknown.push({ number: of, cut, factor });
    };
    for (let cut = linked ? 0 : index >> 8, column = 0; cut < incoming.count; cut += incoming.blocks, column++) {
      term(number, incoming, cut, coefficient(row, column));
    }
    if (linked) {
      const before = this.messages.get(number - 1);
      if (!before) return null;
      for (let cut = 0; cut < before.count; cut++) term(number - 1, before, cut, coefficient(LINKED_ROW + row, cut));
    }
    return equation;
  }

  /** @param {Equation[]} equations */
  #put(equations) {
    /** @type {Map<string, {number: number, cut: number, column: number}>} */
    const unknowns = new Map();
    for (const { unknown } of equations) {
      for (const { number, cut } of unknown) {
        const key = `${number}/${cut}`;
        if (!unknowns.has(key)) unknowns.set(key, { number, cut, column: unknowns.size });
      }
    }
    if (equations.length < unknowns.size) return false;
    const size = Math.max(...equations.map((one) => one.body.length));
    const matrix = equations.map(({ unknown }) => {
      const line = new Uint8Array(unknowns.size);
      for (const { number, cut, factor } of unknown) line[unknowns.get(`${number}/${cut}`)?.column ?? 0] = factor;
      return line;
    });
    const sums = equations.map(({ body, known }) => {
      const sum = new Uint8Array(size);
      sum.set(body);
      for (const one of known) add(sum, one.body, one.factor);
      return sum;
    });
    const solved = solve(matrix, sums);
    if (!solved) return false;
    for (const { number, cut, column } of unknowns.values()) this.messages.get(number)?.put(cut, solved[column]);
    return true;
  }
}
