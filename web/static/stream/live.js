// @ts-check
/**
 * The live picture of one sandbox on a canvas, and the operator's hands on it.
 *
 *     const screen = new LiveScreen(canvas, { url: '/v1/sandboxes/sb_1/live' });
 *     screen.addEventListener('control', e => …);
 *     screen.connect();
 *     screen.drive(epoch);      // after control was taken; drive(null) when it has passed on
 *
 * The canvas gets `data-screen` and the remote screen's size as its intrinsic size; the last picture stays on it when
 * the connection is lost. Style it with a width or height in CSS; clicks are mapped by its box. An unseen text area
 * is put beside it for keys and input methods. It comes back by itself after a loss, unless the server said that there
 * is nothing to come back to.
 *
 * | method | |
 * |---|---|
 * | `connect()`, `close()` | open the socket; end everything (the picture stays) |
 * | `drive(epoch \| null)` | send input under `epoch`, or send none |
 * | `focus()`, `blur()` | give the keyboard to the page (raises a phone's keyboard), or back to the console |
 * | `sendText(text, {secret})` | type `text` into the focused field; `secret` keeps it out of every record |
 * | `sendKey(code, key?)` | press and let go of one key ("Enter") |
 * | `paste(text)`, `copy()` | paste in the page; ask for its selection, which comes as `clipboard` |
 * | `tab(action, id?)` | activate, close, back, forward, reload |
 * | `answer(promptId, {accept, text?, username?, password?, files?: File[]})` | answer a prompt; a promise that rejects when files are too large |
 * | `sound(on)` | hear the page, or no more; call it in a gesture, or the browser keeps silent |
 * | `requestKeyFrame()`, `setVisible(bool)`, `resetZoom()` | |
 *
 * | property | |
 * |---|---|
 * | `stats` | the last `stats` event's detail |
 * | `state` | "closed" before `connect`, then as in the event |
 * | `driving`, `keyboardActive`, `zoom` | |
 *
 * | event | detail |
 * |---|---|
 * | `state` | `{state: "connecting" \| "live" \| "lost" \| "closed", reason, code, retryMs, why, awayMs}`: `why` it was lost ("slept", "network", "offline", "restart", "dropped", or null) is kept until it is live again, and told then with how long that took |
 * | `size` | `{width, height}` of the remote screen |
 * | `picture` | `{kind, masked, reduced}`: `kind` ("h264-444", "h264", "jpeg") is what moving parts come as, `reduced` is a sentence when the picture is less than it could be |
 * | `control` | `{holder: {side, operator, name}, epoch, mine}` |
 * | `cursor` | `{png, x, y}` (already shown on the canvas) |
 * | `tabs`, `prompts` | `{tabs: […]}`, `{prompts: […]}` |
 * | `clipboard` | `{text}` |
 * | `sound` | `{state: "on" \| "off" \| "none", why}`: what became of `sound(on)`; "none" says why as a sentence |
 * | `refused` | `{n, kind, why}`: an input had no effect |
 * | `keyboard-released` | none; the operator pressed Esc twice |
 * | `stats` | see below, about once a second while live |
 *
 * | statistic | |
 * |---|---|
 * | `rtt`, `decodeMs`, `encodeMs` | milliseconds: the last round trip; a frame here until it is painted, and at the server |
 * | `fps`, `kbps`, `frames` | of the last second; all that were painted |
 * | `inputMs` | from an input to the first picture after it, `latency` from the grab of a picture to its painting: medians of the last ones, 0 for none |
 * | `way` | "socket" or "datagrams" |
 * | `decision` | what the server makes of it: `{mode, scene, network, fps, quality, rate_kbps, way}`, or null |
 * | `viewers`, `kind`, `masked` | |
 */

import { SOUND, SoundPlayer, noSound } from './audio.js';
import { Connection } from './connection.js';
import { CursorShape } from './cursor.js';
import { Input } from './input.js';
import { Latency } from './latency.js';
import { Painter } from './paint.js';
import { capabilities } from './video.js';

const STATS_MS = 1000;
/** How long a key frame may take before it is asked for again. */
const KEY_FRAME_MS = 2000;
const DOUBTS = 3;
const DOUBT_MS = 20000;
const MAX_FILES_BYTES = 32 * 1024 * 1024;

/** One viewer of `/stream`. */
export class LiveScreen extends EventTarget {
  #canvas;
  #url;
  /** @type {Connection | null} */
  #connection = null;
  #painter;
  #input;
  #cursor;
  #latency = new Latency();
  #player = new SoundPlayer();
  #listening = false;
  #wanted = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #meter;
  /** @type {number | null} */
  #epoch = null;
  #visible = true;
  #number = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #asking;
  #kind = '';
  #masked = false;
  /** @type {string[]} */
  #pictures = [];
  /** The frame to acknowledge when this task ends; acknowledgements say "and all before". */
  #ack = { due: false, frame: 0, ms: 0 };
  #ending = new AbortController();
  #stats = {
    rtt: 0, fps: 0, kbps: 0, decodeMs: 0, encodeMs: 0, inputMs: 0, latency: 0, frames: 0, viewers: 0, kind: '', masked: false,
    way: 'socket', decision: /** @type {object | null} */ (null),
  };
  #quickest = 0;
  /** @type {number[]} when decoders failed */
  #failures = [];
  #since = { at: 0, frames: 0, bytes: 0, decode: 0 };

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{url: string | URL}} options `url` of the live socket; http(s) and relative addresses are turned into ws(s)
   */
  constructor(canvas, { url }) {
    super();
    this.#canvas = canvas;
    this.#url = new URL(url, location.href);
    this.#url.protocol = this.#url.protocol.replace('http', 'ws');
    canvas.setAttribute('data-screen', '');
    this.#cursor = new CursorShape(canvas);
    this.#painter = this.#newPainter();
    this.#input = new Input(canvas, {
      send: message => {
        this.#latency.sent(message, performance.now());
        this.#send({ ...message, n: ++this.#number });
      },
      copy: () => this.copy(),
      released: () => this.#emit('keyboard-released'),
    });
    new ResizeObserver(() => this.#scaleCursor()).observe(canvas);
    document.addEventListener('visibilitychange', () => this.#showOrHide(), { signal: this.#ending.signal });
  }

  get stats() {
    return this.#stats;
  }

  get state() {
    return this.#connection?.state ?? 'closed';
  }

  get driving() {
    return this.#epoch !== null;
  }

  get keyboardActive() {
    return this.#input.keyboard.active;
  }

  get zoom() {
    return this.#input.fingers.zoom;
  }

  async connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#pictures = await capabilities();
    if (!this.#wanted) return;
    this.#connection = new Connection(this.#url, {
      open: opened => this.#greet(opened),
      hear: data => (typeof data === 'string' ? this.#hear(JSON.parse(data)) : this.#frame(data)),
      ping: () => this.#ping(),
      drop: () => this.#input.drive(null),
      state: change => this.#become(change),
    });
    this.#meter = setInterval(() => this.#measure(), STATS_MS);
    this.#connection.start();
  }

  close() {
    this.#wanted = false;
    this.#ending.abort();
    clearInterval(this.#meter);
    clearTimeout(this.#asking);
    this.#connection?.close();
    this.#input.close();
    this.#painter.close();
    this.#player.stop();
  }

  /** @param {number | null} epoch */
  drive(epoch) {
    this.#epoch = epoch;
    this.#input.drive(epoch);
    this.#cursor.drive(epoch !== null);
    this.#scaleCursor();
  }

  focus() {
    this.#input.keyboard.focus();
  }

  blur() {
    this.#input.keyboard.blur();
  }

  /**
   * @param {string} text
   * @param {{secret?: boolean}} [options]
   */
  sendText(text, { secret = false } = {}) {
    this.#input.say({ t: 'text', text, secret });
  }

  /**
   * @param {string} code
   * @param {string} [key]
   */
  sendKey(code, key = code) {
    this.#input.say({ t: 'key', code, key, d: true });
    this.#input.say({ t: 'key', code, key, d: false });
  }

  /** @param {string} text */
  paste(text) {
    this.#input.keyboard.liftModifiers();
    this.#input.say({ t: 'paste', text });
  }

  copy() {
    this.#input.keyboard.liftModifiers();
    this.#input.say({ t: 'copy' });
  }

  /**
   * @param {'activate' | 'close' | 'back' | 'forward' | 'reload'} action
   * @param {string | null} [id]
   */
  tab(action, id = null) {
    this.#input.say({ t: 'tab', action, tab: id });
  }

  /**
   * @param {string} promptId
   * @param {{accept: boolean, text?: string, username?: string, password?: string, files?: Iterable<File>}} answer
   */
  async answer(promptId, { accept, text, username, password, files }) {
    const list = [...(files ?? [])];
    if (list.reduce((sum, file) => sum + file.size, 0) > MAX_FILES_BYTES) {
      throw new RangeError('These files are larger than 32 MB together; choose fewer.');
    }
    const encoded = await Promise.all(list.map(async file => ({ name: file.name, data: await base64(file) })));
    this.#input.say({
      t: 'answer', id: promptId, accept,
      ...(text === undefined ? {} : { text }), ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }), ...(encoded.length ? { files: encoded } : {}),
    });
  }

  /** @param {boolean} on */
  sound(on) {
    const why = on ? noSound() : '';
    this.#listening = on && !why;
    if (why) {
      this.#unheard(why);
      return;
    }
    if (on) {
      this.#player.start().catch(error => {
        this.#send({ t: 'sound', on: false });
        this.#unheard(`This browser does not play the page’s sound: ${error.message}`);
      });
    } else {
      this.#player.stop();
      this.#emit('sound', { state: 'off', why });
    }
    this.#send({ t: 'sound', on });
  }

  /** The player for a meter or a test. */
  get player() {
    return this.#player;
  }

  requestKeyFrame() {
    this.#send({ t: 'keyframe' });
  }

  /** @param {boolean} visible false stops the pictures */
  setVisible(visible) {
    this.#visible = visible;
    this.#showOrHide();
  }

  resetZoom() {
    this.#input.fingers.reset();
  }

  // -- the connection -------------------------------------------------------------------------------------------

  /** @param {number} opened how long the way took to open, milliseconds */
  #greet(opened) {
    this.#painter.reset();
    this.#latency = new Latency();
    this.#quickest = 0;
    this.#since = { at: performance.now(), frames: 0, bytes: 0, decode: 0 };
    this.#send({ t: 'hello', pictures: this.#pictures, opened });
    this.#showOrHide();
  }

  /** @param {import('./connection.js').Change} change */
  #become(change) {
    if (change.state === 'closed') {
      this.#wanted = false;
      clearInterval(this.#meter);
    }
    this.#emit('state', change);
  }

  /** @param {object} message */
  #send(message) {
    this.#connection?.send(JSON.stringify(message));
  }

  #ping() {
    this.#painter.check();
    this.#send({ t: 'ping', c: Math.round(performance.now() * 10) / 10, ...(this.#stats.rtt ? { rtt: this.#stats.rtt } : {}) });
  }

  #showOrHide() {
    this.#send({ t: 'visible', on: this.#visible && !document.hidden });
  }

  // -- what is heard --------------------------------------------------------------------------------------------

  /** @param {any} message */
  #hear(message) {
    const { t, ...detail } = message;
    switch (t) {
      case 'hello':
        this.#resize(detail.width, detail.height);
        this.#input.drive(this.#epoch);
        if (this.#listening) this.#send({ t: 'sound', on: true });
        this.#connection?.welcome();
        this.#connection?.ping();
        break;
      case 'stream':
        this.#kind = detail.kind;
        this.#masked = detail.masked;
        this.#emit('picture', { ...detail, reduced: this.#reduced(detail.kind) });
        break;
      case 'cursor':
        this.#cursor.set(detail.png, detail.x, detail.y);
        this.#emit('cursor', detail);
        break;
      case 'sound':
        if (detail.state === 'none') this.#unheard(detail.why);
        else if (detail.state === 'on' && this.#listening) this.#emit('sound', detail);
        break;
      case 'pong':
        this.#pong(detail);
        break;
      case 'control': case 'tabs': case 'prompts': case 'clipboard': case 'refused':
        this.#emit(t, detail);
        break;
    }
  }

  /** @param {any} detail */
  #pong({ c, encode_ms: encodeMs, viewers, decision = null }) {
    const rtt = Math.round((performance.now() - c) * 10) / 10;
    this.#quickest = this.#quickest ? Math.min(this.#quickest, rtt) : rtt;
    this.#stats = { ...this.#stats, rtt, encodeMs, viewers, decision, way: this.#connection?.way ?? 'socket' };
  }

  /** @param {string} kind */
  #reduced(kind) {
    if (kind === 'h264-444') return null;
    if (kind === 'h264') return 'What moves shows its colours a little softer here than it is.';
    if (!isSecureContext) return 'Smooth video, clipboard and keyboard capture need HTTPS; open this console by https:// or on the machine itself.';
    return 'This browser has no video decoder for pages; what moves comes as single images.';
  }

  /** @param {ArrayBuffer} data */
  #frame(data) {
    this.#since.bytes += data.byteLength;
    const bytes = new Uint8Array(data);
    if (bytes[0] === SOUND) this.#player.push(bytes);
    else this.#painter.push(data);
  }

  /** @param {string} why */
  #unheard(why) {
    this.#listening = false;
    this.#player.stop();
    this.#emit('sound', { state: 'none', why });
  }

  #newPainter() {
    return new Painter(this.#canvas, {
      shown: (frame, ms) => {
        this.#since.frames++;
        this.#since.decode += ms;
        this.#stats.frames++;
        this.#latency.painted(frame.taken, performance.now(), this.#quickest);
        if (frame.quiet) return;
        if (!this.#ack.due) queueMicrotask(() => this.#acknowledge());
        this.#ack = { due: true, frame: frame.number, ms };
      },
      lost: error => {
        if (error) console.warn('stream: asking for a key frame', error);
        if (error instanceof DOMException && this.#doubt()) return;
        this.#askAgain();
      },
      size: (width, height) => {
        this.#emit('size', { width, height });
        this.#scaleCursor();
      },
    });
  }

  /** A decoder that fails again and again is one that the browser only claims to have: begin anew without it. */
  #doubt() {
    const now = performance.now();
    this.#failures = [...this.#failures.filter(at => now - at < DOUBT_MS), now];
    if (this.#failures.length < DOUBTS || this.#kind === 'jpeg' || !this.#pictures.includes(this.#kind)) return false;
    this.#failures = [];
    this.#pictures = this.#pictures.filter(kind => kind !== this.#kind);
    this.#connection?.again();
    return true;
  }

  /** Ask for a key frame, and again while none comes. */
  #askAgain() {
    if (this.#asking !== undefined) return;
    this.requestKeyFrame();
    this.#asking = setTimeout(() => {
      this.#asking = undefined;
      if (this.#painter.lost && this.state === 'live') this.#askAgain();
    }, KEY_FRAME_MS);
  }

  #acknowledge() {
    const { frame, ms } = this.#ack;
    this.#ack.due = false;
    this.#connection?.send(`{"t":"ack","f":${frame},"d":${Math.round(ms * 10) / 10}}`);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #resize(width, height) {
    if (this.#canvas.width === width && this.#canvas.height === height) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#emit('size', { width, height });
    this.#scaleCursor();
  }

  #scaleCursor() {
    this.#cursor.scale(this.#canvas.offsetWidth / (this.#canvas.width || 1));
  }

  #measure() {
    if (this.state !== 'live') return;
    const now = performance.now();
    const { at, frames, bytes, decode } = this.#since;
    const seconds = Math.max(0.001, (now - at) / 1000);
    this.#stats = {
      ...this.#stats, fps: Math.round(frames / seconds), kbps: Math.round((bytes * 8) / 1000 / seconds),
      decodeMs: frames ? Math.round((decode / frames) * 10) / 10 : this.#stats.decodeMs, kind: this.#kind, masked: this.#masked,
      inputMs: this.#latency.input, latency: this.#latency.picture,
    };
    this.#since = { at: now, frames: 0, bytes: 0, decode: 0 };
    this.#emit('stats', this.#stats);
  }

  /**
   * @param {string} name
   * @param {unknown} [detail]
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * @param {File} file
 * @returns {Promise<string>}
 */
async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const parts = [];
  for (let at = 0; at < bytes.length; at += 0x8000) parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  return btoa(parts.join(''));
}
