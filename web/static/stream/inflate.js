// @ts-check
/**
 * Raw deflate (RFC 1951) undone at once, in the calling task. The size of what comes out is known beforehand, so it is
 * written straight to its place; anything broken, cut short or of another size is a `RangeError`.
 *
 * Why not `DecompressionStream`: it answers in another task, so a frame could not be painted in the one that brought
 * it, and it is not faster. Medians in Chromium 156 on a shared core, milliseconds:
 *
 * | from → to | here | `DecompressionStream` |
 * |---|---|---|
 * | 121 B → 400 B | under 0.1 | 0.1, and another task |
 * | 3 KB → 30 KB | under 0.1 | 0.2 |
 * | 26 KB → 300 KB | 0.5 | 0.7 |
 * | 77 KB → 920 KB | 1.6 | 1.6 |
 */

/** Code length symbols in the order they are sent (RFC 1951, 3.2.7). */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const [LENGTH_BASE, LENGTH_BITS] = bases(3, 29, symbol => (symbol < 8 ? 0 : (symbol - 4) >> 2));
const [DISTANCE_BASE, DISTANCE_BITS] = bases(1, 30, symbol => (symbol < 4 ? 0 : (symbol - 2) >> 1));
// the last length is 258 with no further bits, out of the row (RFC 1951, 3.2.5)
LENGTH_BASE[28] = 258;
LENGTH_BITS[28] = 0;
const LONGEST = 15;
/** From this length on `copyWithin` and `fill` are faster than single bytes. */
const LONG = 24;

/**
 * A decoding table: indexed by the next `bits` bits of the stream, each entry `symbol << 4 | length`, 0 where no code is.
 * @typedef {{entries: Uint16Array, bits: number}} Table
 */

const literals = { entries: new Uint16Array(1 << LONGEST), bits: 0 };
const distances = { entries: new Uint16Array(1 << LONGEST), bits: 0 };
const codes = { entries: new Uint16Array(1 << 7), bits: 0 };
const lengths = new Uint8Array(320);
const counts = new Uint16Array(LONGEST + 1);
const next = new Uint16Array(LONGEST + 1);
/** @type {Table | null} */
let fixed = null;
/** @type {Table | null} */
let fixedDistances = null;

/**
 * @param {number} first
 * @param {number} count
 * @param {(symbol: number) => number} extra
 * @returns {[Uint16Array, Uint8Array]}
 */
function bases(first, count, extra) {
  const [base, bits] = [new Uint16Array(count), new Uint8Array(count)];
  for (let symbol = 0, at = first; symbol < count; symbol++) {
    base[symbol] = at;
    bits[symbol] = extra(symbol);
    at += 1 << bits[symbol];
  }
  return [base, bits];
}

/**
 * Fill `table` with the canonical code of lengths[from…from + count) (RFC 1951, 3.2.2).
 * @param {Table} table
 * @param {number} from
 * @param {number} count
 */
function build(table, from, count) {
  counts.fill(0);
  for (let i = from; i < from + count; i++) counts[lengths[i]]++;
  counts[0] = 0;
  let bits = LONGEST;
  while (bits > 1 && !counts[bits]) bits--;
  let code = 0;
  let free = 1 << bits;
  for (let length = 1; length <= bits; length++) {
    next[length] = code = (code + counts[length - 1]) << 1;
    free -= counts[length] << (bits - length);
  }
  if (free < 0) throw new RangeError('deflate: more codes than fit');
  const { entries } = table;
  const size = 1 << bits;
  if (free > 0) entries.fill(0, 0, size);
  for (let symbol = 0; symbol < count; symbol++) {
    const length = lengths[from + symbol];
    if (!length) continue;
    const entry = (symbol << 4) | length;
    // codes are sent from their first bit, the rest of a message from its last
    let at = reversed(next[length]++, length);
    for (const step = 1 << length; at < size; at += step) entries[at] = entry;
  }
  table.bits = bits;
}

/**
 * @param {number} code
 * @param {number} length
 */
function reversed(code, length) {
  let turned = 0;
  for (let i = 0; i < length; i++) turned = (turned << 1) | ((code >> i) & 1);
  return turned;
}

function useFixed() {
  lengths.fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280, 288).fill(5, 288, 320);
  fixed = { entries: new Uint16Array(1 << 9), bits: 9 };
  fixedDistances = { entries: new Uint16Array(1 << 5), bits: 5 };
  build(fixed, 0, 288);
  build(fixedDistances, 288, 32);
}

/** The state of one message; everything is undone in one call, so one is enough. */
/** @type {Uint8Array} */
let data = new Uint8Array(0);
let out = data;
let at = 0;
let done = 0;
let hold = 0;
let held = 0;

/**
 * @param {Uint8Array} deflated
 * @param {Uint8Array} into is filled to its very end
 * @param {number} [from] where to begin; the stream may refer to what lies before
 */
export function inflate(deflated, into, from = 0) {
  [data, out, at, done, hold, held] = [deflated, into, 0, from, 0, 0];
  try {
    for (let last = false; !last;) {
      last = take(1) === 1;
      const kind = take(2);
      if (kind === 0) stored();
      else if (kind === 1) {
        if (!fixed) useFixed();
        block(/** @type {Table} */ (fixed), /** @type {Table} */ (fixedDistances));
      } else if (kind === 2) {
        dynamic();
        block(literals, distances);
      } else throw new RangeError('deflate: unknown kind of block');
      if (at - (held >> 3) > data.length) throw new RangeError('deflate: cut short');
    }
    if (done !== out.length) throw new RangeError('deflate: another size than announced');
  } finally {
    data = out = new Uint8Array(0);
  }
}

/** @param {number} bits at most 16 */
function take(bits) {
  while (held < bits) {
    hold |= data[at++] << held;
    held += 8;
  }
  const value = hold & ((1 << bits) - 1);
  hold >>>= bits;
  held -= bits;
  return value;
}

/** @param {Table} table */
function symbolOf(table) {
  while (held < LONGEST) {
    hold |= data[at++] << held;
    held += 8;
  }
  const entry = table.entries[hold & ((1 << table.bits) - 1)];
  if (!entry) throw new RangeError('deflate: no such code');
  hold >>>= entry & 15;
  held -= entry & 15;
  return entry >> 4;
}

function stored() {
  at -= held >> 3;
  hold = held = 0;
  const size = data[at] | (data[at + 1] << 8);
  if (at + 4 + size > data.length || (size ^ (data[at + 2] | (data[at + 3] << 8))) !== 0xffff) throw new RangeError('deflate: cut short');
  if (done + size > out.length) throw new RangeError('deflate: more than announced');
  out.set(data.subarray(at + 4, at + 4 + size), done);
  at += 4 + size;
  done += size;
}

/** Read the codes of one block (RFC 1951, 3.2.7). */
function dynamic() {
  const many = take(5) + 257;
  const far = take(5) + 1;
  const said = take(4) + 4;
  lengths.fill(0, 0, 19);
  for (let i = 0; i < said; i++) lengths[ORDER[i]] = take(3);
  build(codes, 0, 19);
  for (let i = 0; i < many + far;) {
    const symbol = symbolOf(codes);
    if (symbol < 16) {
      lengths[i++] = symbol;
      continue;
    }
    if (symbol === 16 && !i) throw new RangeError('deflate: nothing to repeat');
    const value = symbol === 16 ? lengths[i - 1] : 0;
    const times = symbol === 16 ? 3 + take(2) : symbol === 17 ? 3 + take(3) : 11 + take(7);
    if (i + times > many + far) throw new RangeError('deflate: too many codes');
    lengths.fill(value, i, i += times);
  }
  build(literals, 0, many);
  build(distances, many, far);
}

/**
 * @param {Table} table
 * @param {Table} farTable
 */
function block(table, farTable) {
  // all that changes with each symbol is kept in locals: the engine then keeps it in registers
  const [input, output, size] = [data, out, out.length];
  const [near, far] = [table.entries, farTable.entries];
  const [nearMask, farMask] = [(1 << table.bits) - 1, (1 << farTable.bits) - 1];
  let [from, to, bits, count] = [at, done, hold, held];
  for (;;) {
    if (count < 16) {
      bits |= (input[from] | (input[from + 1] << 8)) << count;
      from += 2;
      count += 16;
    }
    let entry = near[bits & nearMask];
    bits >>>= entry & 15;
    count -= entry & 15;
    let symbol = entry >> 4;
    if (symbol < 256) {
      if (!entry || to >= size) throw new RangeError('deflate: broken, or more than announced');
      output[to++] = symbol;
      continue;
    }
    if (symbol === 256) break;
    if (symbol > 285) throw new RangeError('deflate: no such length');
    if (count < 16) {
      bits |= (input[from] | (input[from + 1] << 8)) << count;
      from += 2;
      count += 16;
    }
    let more = LENGTH_BITS[symbol - 257];
    const length = LENGTH_BASE[symbol - 257] + (bits & ((1 << more) - 1));
    bits >>>= more;
    count -= more;
    if (count < 16) {
      bits |= (input[from] | (input[from + 1] << 8)) << count;
      from += 2;
      count += 16;
    }
    entry = far[bits & farMask];
    bits >>>= entry & 15;
    count -= entry & 15;
    symbol = entry >> 4;
    if (!entry || symbol > 29) throw new RangeError('deflate: no such distance');
    if (count < 16) {
      bits |= (input[from] | (input[from + 1] << 8)) << count;
      from += 2;
      count += 16;
    }
    more = DISTANCE_BITS[symbol];
    const distance = DISTANCE_BASE[symbol] + (bits & ((1 << more) - 1));
    bits >>>= more;
    count -= more;
    const end = to + length;
    if (distance > to || end > size) throw new RangeError('deflate: points outside');
    if (length < LONG) for (let source = to - distance; to < end;) output[to++] = output[source++];
    else if (distance === 1) output.fill(output[to - 1], to, end);
    else if (distance >= length) output.copyWithin(to, to - distance, to - distance + length);
    else for (let source = to - distance; to < end;) output[to++] = output[source++];
    to = end;
  }
  [at, done, hold, held] = [from, to, bits, count];
}
