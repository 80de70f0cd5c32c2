// @ts-check
/**
 * Frame messages of `/stream` read: binary, network byte order, as `streaming/ops.py` writes them.
 *
 *     u8 kind = 2    u8 flags (1 key, 2 masked, 4 quiet)    u32 frame    u32 microseconds
 *     key only: u16 width  u16 height
 *     then operations to the end:
 *     1 FILL    u16 x y w h   u8 r g b
 *     2 PIXELS  u8 form (1 colour, 2 stored, 4 goes on)  u16 n  n of (u16 x y w h)
 *               colour only: u16 m  m of (u16 which, u16 x y w h)    then u32 length  bytes
 *     3 COPY    u16 x y w h   i16 dx dy
 *     4 KEEP    u8 slot
 *     5 SHOW    u8 slot  u16 n  n of (u16 x y w h)
 *     6 VIDEO   u8 stream  u8 coding (0 H.264, 1 JPEG)  u8 key  u16 x y w h  u32 length  data
 */

export const FRAME = 2;
export const KEY = 1;
export const QUIET = 4;
export const FILL = 1;
export const PIXELS = 2;
export const COPY = 3;
export const KEEP = 4;
export const SHOW = 5;
export const VIDEO = 6;
export const SLOTS = 16;
/** How many greens PIXELS may refer back to. */
export const HISTORY = 32768;
const NONE = new Uint16Array(0);

/**
 * @typedef {object} Box
 * @property {number} x
 * @property {number} y
 * @property {number} w
 * @property {number} h
 */

/** @typedef {Box & {op: 1, colour: string}} Fill */
/**
 * `rects`: x y w h of each; `tints`: which x y w h of each.
 * @typedef {{op: 2, stored: boolean, goesOn: boolean, rects: Uint16Array, tints: Uint16Array, data: Uint8Array}} Pixels
 */
/** @typedef {Box & {op: 3, dx: number, dy: number}} Copy */
/** @typedef {{op: 4, slot: number}} Keep */
/** @typedef {{op: 5, slot: number, rects: Uint16Array}} Show */
/** @typedef {Box & {op: 6, stream: number, jpeg: boolean, key: boolean, data: Uint8Array<ArrayBuffer>}} Video */
/** @typedef {Fill | Pixels | Copy | Keep | Show | Video} Op */

/**
 * @typedef {object} Frame
 * @property {number} number
 * @property {boolean} key
 * @property {boolean} quiet
 * @property {number} taken microseconds since the hub began, at the grab, modulo 2³²
 * @property {number} width of the canvas, key frames only
 * @property {number} height
 * @property {Op[]} ops their `data` lie in the message itself
 */

/**
 * @param {ArrayBuffer} message
 * @returns {Frame}
 * @throws {RangeError} when it is cut short or holds something unknown
 */
export function readFrame(message) {
  const view = new DataView(message);
  if (view.getUint8(0) !== FRAME) throw new RangeError('this is no frame');
  const flags = view.getUint8(1);
  const key = (flags & KEY) !== 0;
  /** @type {Frame} */
  const frame = {
    number: view.getUint32(2), key, quiet: (flags & QUIET) !== 0, taken: view.getUint32(6), ops: [],
    width: key ? view.getUint16(10) : 0, height: key ? view.getUint16(12) : 0,
  };
  const reader = { view, at: key ? 14 : 10 };
  while (reader.at < message.byteLength) frame.ops.push(readOp(reader));
  return frame;
}

/** @typedef {{view: DataView<ArrayBuffer>, at: number}} Reader */

/**
 * @param {Reader} reader
 * @returns {Op}
 */
function readOp(reader) {
  const { view, at } = reader;
  const op = view.getUint8(at);
  switch (op) {
    case FILL:
      reader.at += 12;
      return { op, ...box(view, at + 1), colour: `rgb(${view.getUint8(at + 9)} ${view.getUint8(at + 10)} ${view.getUint8(at + 11)})` };
    case PIXELS: {
      const form = view.getUint8(at + 1);
      reader.at += 4;
      const boxes = numbers(reader, 4 * view.getUint16(at + 2));
      const tints = form & 1 ? numbers(reader, 5 * view.getUint16((reader.at += 2) - 2)) : NONE;
      return { op, stored: (form & 2) !== 0, goesOn: (form & 4) !== 0, rects: boxes, tints, data: bytes(reader) };
    }
    case COPY:
      reader.at += 13;
      return { op, ...box(view, at + 1), dx: view.getInt16(at + 9), dy: view.getInt16(at + 11) };
    case KEEP:
      reader.at += 2;
      return { op, slot: slot(view.getUint8(at + 1)) };
    case SHOW:
      reader.at += 4;
      return { op, slot: slot(view.getUint8(at + 1)), rects: numbers(reader, 4 * view.getUint16(at + 2)) };
    case VIDEO:
      reader.at += 12;
      return {
        op, stream: view.getUint8(at + 1), jpeg: view.getUint8(at + 2) === 1, key: (view.getUint8(at + 3) & 1) !== 0,
        ...box(view, at + 4), data: bytes(reader),
      };
    default:
      throw new RangeError(`an unknown operation ${op}`);
  }
}

/**
 * @param {DataView} view
 * @param {number} at
 * @returns {Box}
 */
function box(view, at) {
  return { x: view.getUint16(at), y: view.getUint16(at + 2), w: view.getUint16(at + 4), h: view.getUint16(at + 6) };
}

/** @param {number} number */
function slot(number) {
  if (number >= SLOTS) throw new RangeError(`there is no slot ${number}`);
  return number;
}

/**
 * @param {Reader} reader
 * @param {number} count
 */
function numbers(reader, count) {
  const { view, at } = reader;
  const read = new Uint16Array(count);
  for (let i = 0; i < count; i++) read[i] = view.getUint16(at + 2 * i);
  reader.at += 2 * count;
  return read;
}

/** @param {Reader} reader */
function bytes(reader) {
  const { view, at } = reader;
  const length = view.getUint32(at);
  if (at + 4 + length > view.byteLength) throw new RangeError('a frame that is cut short');
  reader.at += 4 + length;
  return new Uint8Array(view.buffer, at + 4, length);
}
