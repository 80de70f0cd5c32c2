// @ts-check
/**
 * Frames of `/stream` onto one canvas, exactly: each as a whole, all in their order. A frame that holds no video and
 * has nothing before it is on the canvas when `push` returns; one that does begins its decoding at once.
 *
 * After anything that cannot be read or decoded nothing is painted until the next key frame, which begins anew.
 */

import { COPY, FILL, HISTORY, KEEP, PIXELS, readFrame, SHOW, VIDEO } from './frames.js';
import { inflate } from './inflate.js';
import { Videos } from './video.js';

const LATE_MS = 3000;
/** So often is a first picture unpacked again in idle time: by then the engine has compiled what does it. */
const WARM_UPS = 8;
const DESKS = 3;
/** Messages that come this close are motion. */
const FLOWING_MS = 28;
const PAUSE_MS = 150;
/** No screen is larger; more is a broken message. */
const MOST_PIXELS = 1 << 26;
const OPAQUE = 0xff000000;
/** Grey as a canvas has it in memory, by its level. */
const GREY = Uint32Array.from({ length: 256 }, (_, level) => (OPAQUE | Math.imul(level, 0x10101)) >>> 0);

/** @typedef {import('./frames.js').Frame} Frame */
/** @typedef {import('./frames.js').Pixels} Pixels */
/** @typedef {import('./video.js').Decoded | Uint32Array} Part a decoded picture, or the colours of PIXELS */

/**
 * @typedef {object} Job one frame that is not on the canvas yet
 * @property {Frame} frame
 * @property {(Part | null)[]} parts what was made of each operation, where something has to be made
 * @property {number} missing how many pictures have still to come
 * @property {number} began
 * @property {boolean} dropped
 */

/**
 * @typedef {object} On
 * @property {(frame: Frame, ms: number) => void} shown a frame is on the canvas, `ms` after it came
 * @property {(error: unknown) => void} lost nothing can be painted until a key frame comes; told again with each frame in between
 * @property {(width: number, height: number) => void} size the canvas has another size
 */

/** Paints one canvas. */
export class Painter {
  #canvas;
  #context;
  #on;
  #videos;
  /** @type {Job[]} */
  #queue = [];
  #lost = true;
  /** @type {CanvasRenderingContext2D[]} by slot; used again, whether they hold something is in `#holds` */
  #kept = [];
  /** @type {Set<number>} */
  #holds = new Set();
  /** The last greens, as far as others may refer to them, and behind them what is being unpacked. */
  #planes = new Uint8Array(HISTORY + (1 << 16));
  /** @type {Uint32Array[]} buffers to be used again */
  #spare = [];
  /** @type {CanvasRenderingContext2D[]} */
  #desks = [];
  #turn = 0;
  #warm = 0;
  /** Milliseconds between messages, smoothed. */
  #gap = PAUSE_MS;
  #cameAt = 0;
  /** Whether a picture was painted since this screen last showed one, and whether it is known when it does again. */
  #painted = false;
  #ticking = false;
  #ending = new AbortController();

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {On} on
   */
  constructor(canvas, on) {
    this.#canvas = canvas;
    this.#on = on;
    this.#context = contextOf(canvas, true);
    this.#videos = new Videos(error => this.#fail(error));
    // a graphics driver that starts anew takes every canvas with it
    canvas.addEventListener('contextrestored', () => this.#fail(new Error('the canvas was lost')), { signal: this.#ending.signal });
  }

  /** Whether nothing is painted before a key frame comes. */
  get lost() {
    return this.#lost;
  }

  /** @param {ArrayBuffer} message one frame message; never throws */
  push(message) {
    const began = performance.now();
    this.#note(began);
    try {
      const frame = readFrame(message);
      if (frame.key) this.reset();
      else if (this.#lost) return this.#on.lost(null);
      this.#lost = false;
      const job = { frame, parts: [], missing: 0, began, dropped: false };
      this.#queue.push(job);
      this.#prepare(job);
      this.#paintReady();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Drop what is not painted yet, and wait for a key frame: another connection begins. The picture stays. */
  reset() {
    this.#videos.drop();
    for (const job of this.#queue.splice(0)) this.#free(job);
    this.#lost = true;
  }

  /** To be called now and then: a picture that the decoder swallowed counts as lost. */
  check() {
    const [first] = this.#queue;
    if (first && performance.now() - first.began > LATE_MS) this.#fail(new Error('a picture was never decoded'));
  }

  /** Ends it; the last picture stays on the canvas. */
  close() {
    this.#ending.abort();
    this.reset();
    for (const { canvas } of this.#kept.filter(Boolean)) canvas.width = canvas.height = 0;
    this.#kept = [];
    this.#spare = [];
  }

  /** @param {unknown} error */
  #fail(error) {
    this.reset();
    this.#on.lost(error);
  }

  // -- parts ----------------------------------------------------------------------------------------------------

  /** @param {Job} job */
  #prepare(job) {
    const { frame, frame: { ops }, parts } = job;
    // the decoders work while the rest is unpacked here
    ops.forEach((op, i) => {
      if (op.op !== VIDEO) return;
      job.missing++;
      this.#videos.decode(op, picture => this.#come(job, i, picture));
    });
    ops.forEach((op, i) => { if (op.op === PIXELS) parts[i] = this.#unpack(op, frame.key); });
  }

  /**
   * @param {Job} job
   * @param {number} i
   * @param {import('./video.js').Decoded} picture
   */
  #come(job, i, picture) {
    if (job.dropped) return this.#videos.free(picture);
    job.parts[i] = picture;
    job.missing--;
    this.#paintReady();
  }

  /**
   * The colours of PIXELS as a canvas has them in memory, rectangle after rectangle.
   * @param {Pixels} op
   * @param {boolean} key
   */
  #unpack({ stored, goesOn, rects, tints, data }, key) {
    const [pixels, tinted] = [areaOf(rects, 0, 4), areaOf(tints, 1, 5)];
    const size = pixels + 2 * tinted;
    if (pixels > MOST_PIXELS || tinted > pixels || (stored && data.length !== size)) throw new RangeError('pixels of another size than announced');
    const planes = this.#room(HISTORY + size);
    if (stored) planes.set(data, HISTORY);
    else if (goesOn) inflate(data, planes.subarray(0, HISTORY + size), HISTORY);
    else inflate(data, planes.subarray(HISTORY, HISTORY + size));
    const out = this.#buffer(pixels);
    for (let i = 0; i < pixels; i++) out[i] = GREY[planes[HISTORY + i]];
    if (tinted) tint(out, rects, tints, planes, HISTORY + pixels, tinted);
    // a key frame is for one viewer: nobody can refer to what only some have
    if (!key) planes.copyWithin(0, pixels, pixels + HISTORY);
    return out;
  }

  /** @param {number} size */
  #room(size) {
    if (this.#planes.length < size) {
      const larger = new Uint8Array(size);
      larger.set(this.#planes.subarray(0, HISTORY));
      this.#planes = larger;
    }
    return this.#planes;
  }

  /** @param {number} pixels */
  #buffer(pixels) {
    const found = this.#spare.findIndex(one => one.length >= pixels);
    return found < 0 ? new Uint32Array(Math.max(1024, pixels)) : this.#spare.splice(found, 1)[0];
  }

  /** @param {Job} job */
  #free(job) {
    job.dropped = true;
    for (const part of job.parts) {
      if (part instanceof Uint32Array) this.#spare.push(part);
      else if (part) this.#videos.free(part);
    }
    // the largest are the ones that save most
    if (this.#spare.length > 4) this.#spare.sort((a, b) => a.length - b.length).splice(0, this.#spare.length - 4);
  }

  // -- painting -------------------------------------------------------------------------------------------------

  #paintReady() {
    try {
      for (let job = this.#queue[0]; job && !job.missing; job = this.#queue[0]) {
        if (this.#waits()) return;
        this.#paint(job);
        this.#queue.shift();
        this.#free(job);
        this.#on.shown(job.frame, performance.now() - job.began);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * While something moves, two pictures that come between two of this screen's would be seen as one: the second waits
   * for the next. Never more than one waits, and none when nothing moves: an input's effect is painted as it comes.
   */
  #waits() {
    if (document.hidden || this.#gap > FLOWING_MS) return false;
    if (this.#painted && this.#queue.length === 1) return true;
    this.#painted = true;
    if (!this.#ticking) {
      this.#ticking = true;
      requestAnimationFrame(() => {
        this.#painted = this.#ticking = false;
        this.#paintReady();
      });
    }
    return false;
  }

  /** @param {number} now */
  #note(now) {
    this.#gap += (Math.min(now - this.#cameAt, PAUSE_MS) - this.#gap) / 4;
    this.#cameAt = now;
  }

  /** @param {Job} job */
  #paint({ frame, parts }) {
    if (frame.key) this.#begin(frame.width, frame.height);
    const context = this.#context;
    for (let i = 0; i < frame.ops.length; i++) {
      const op = frame.ops[i];
      switch (op.op) {
        case FILL:
          context.fillStyle = op.colour;
          context.fillRect(op.x, op.y, op.w, op.h);
          break;
        case PIXELS:
          this.#put(op.rects, /** @type {Uint32Array<ArrayBuffer>} */ (parts[i]));
          break;
        case COPY:
          // a canvas drawn onto itself is read as a whole before it is written (HTML, drawImage)
          context.drawImage(this.#canvas, op.x, op.y, op.w, op.h, op.x + op.dx, op.y + op.dy, op.w, op.h);
          break;
        case KEEP:
          this.#keep(op.slot);
          break;
        case SHOW:
          this.#show(op.slot, op.rects);
          break;
        case VIDEO: {
          const picture = /** @type {import('./video.js').Decoded} */ (parts[i]);
          if (picture instanceof ImageData) context.putImageData(picture, op.x, op.y, 0, 0, op.w, op.h);
          else context.drawImage(picture, 0, 0, op.w, op.h, op.x, op.y, op.w, op.h);
          break;
        }
      }
    }
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #begin(width, height) {
    this.#holds.clear();
    const canvas = this.#canvas;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.#on.size(width, height);
    }
    // a context forgets this with every new size
    this.#context.imageSmoothingEnabled = false;
    this.#context.fillStyle = '#000';
    this.#context.fillRect(0, 0, width, height);
  }

  /**
   * The first pictures after a start would take several times as long as the later ones.
   * @param {Frame} frame
   */
  #warmUp({ ops }) {
    const op = ops.find(one => one.op === PIXELS);
    if (!op || !('requestIdleCallback' in globalThis)) return;
    const again = () => {
      if (this.#warm++ >= WARM_UPS || this.#ending.signal.aborted) return;
      this.#spare.push(this.#unpack(op, true));
      requestIdleCallback(again);
    };
    requestIdleCallback(again);
  }

  /**
   * By way of a small canvas: `putImageData` on the large one would make the browser draw all that is recorded for it
   * and copy it, 4 MB, in the middle of a frame (13 ms where its memory is cold, and a key press waits for it).
   * @param {Uint16Array} rects
   * @param {Uint32Array} colours
   */
  #put(rects, colours) {
    let [width, height] = [0, 0];
    for (let i = 0; i < rects.length; i += 4) {
      width = Math.max(width, rects[i + 2]);
      height += rects[i + 3];
    }
    if (!width || !height) return;
    const desk = this.#desk(width, height);
    for (let i = 0, at = 0, y = 0; i < rects.length; i += 4) {
      const [w, h] = [rects[i + 2], rects[i + 3]];
      if (!w || !h) continue;
      desk.putImageData(new ImageData(new Uint8ClampedArray(colours.buffer, 4 * at, 4 * w * h), w, h), 0, y);
      at += w * h;
      y += h;
    }
    for (let i = 0, y = 0; i < rects.length; i += 4) {
      const [w, h] = [rects[i + 2], rects[i + 3]];
      if (!w || !h) continue;
      this.#context.drawImage(desk.canvas, 0, y, w, h, rects[i], rects[i + 1], w, h);
      y += h;
    }
  }

  /**
   * A canvas to put pixels on that are then drawn; one of a few, so that none waits for what was drawn from it last.
   * @param {number} width
   * @param {number} height
   */
  #desk(width, height) {
    this.#turn = (this.#turn + 1) % DESKS;
    const desk = (this.#desks[this.#turn] ??= contextOf(document.createElement('canvas'), false));
    if (desk.canvas.width < width) desk.canvas.width = width;
    if (desk.canvas.height < height) desk.canvas.height = height;
    return desk;
  }

  /** @param {number} slot */
  #keep(slot) {
    const { width, height } = this.#canvas;
    const kept = (this.#kept[slot] ??= contextOf(document.createElement('canvas'), false));
    if (kept.canvas.width !== width) kept.canvas.width = width;
    if (kept.canvas.height !== height) kept.canvas.height = height;
    kept.drawImage(this.#canvas, 0, 0);
    this.#holds.add(slot);
  }

  /**
   * @param {number} slot
   * @param {Uint16Array} rects
   */
  #show(slot, rects) {
    if (!this.#holds.has(slot)) throw new RangeError(`nothing is kept in slot ${slot}`);
    const { canvas } = this.#kept[slot];
    for (let i = 0; i < rects.length; i += 4) {
      const [x, y, w, h] = [rects[i], rects[i + 1], rects[i + 2], rects[i + 3]];
      this.#context.drawImage(canvas, x, y, w, h, x, y, w, h);
    }
  }
}

/**
 * @param {Uint16Array} boxes
 * @param {number} from where the x of the first stands
 * @param {number} step
 */
function areaOf(boxes, from, step) {
  let area = 0;
  for (let i = from; i < boxes.length; i += step) area += boxes[i + 2] * boxes[i + 3];
  return area;
}

/**
 * Add the differences of blue and red to the greens of the coloured parts.
 * @param {Uint32Array} out
 * @param {Uint16Array} rects
 * @param {Uint16Array} tints
 * @param {Uint8Array} planes
 * @param {number} from where blue begins
 * @param {number} tinted how much further red is
 */
function tint(out, rects, tints, planes, from, tinted) {
  const starts = [0];
  for (let i = 0; i < rects.length; i += 4) starts.push(starts[i / 4] + rects[i + 2] * rects[i + 3]);
  for (let i = 0, at = from; i < tints.length; i += 5) {
    const [which, x, y, w, h] = [tints[i], tints[i + 1], tints[i + 2], tints[i + 3], tints[i + 4]];
    const [left, top, width] = [rects[4 * which], rects[4 * which + 1], rects[4 * which + 2]];
    if (x < left || y < top || x + w > left + width || y + h > top + rects[4 * which + 3]) throw new RangeError('colour outside its rectangle');
    for (let row = 0; row < h; row++) {
      for (let to = starts[which] + (y + row - top) * width + x - left, end = to + w; to < end; to++, at++) {
        const green = out[to] & 255;
        out[to] = OPAQUE | (((planes[at] + green) & 255) << 16) | (green << 8) | ((planes[at + tinted] + green) & 255);
      }
    }
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {boolean} desynchronized
 */
function contextOf(canvas, desynchronized) {
  const context = canvas.getContext('2d', { alpha: false, desynchronized });
  if (!context) throw new Error('this canvas has no 2d context');
  context.imageSmoothingEnabled = false;
  return context;
}
