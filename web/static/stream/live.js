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
 * | `state` | `{state: "connecting" \| "live" \| "lost" \| "closed", reason, code, retryMs}` |
 * | `size` | `{width, height}` of the remote screen |
 * | `picture` | `{kind, codec, masked, reduced}`: `reduced` is a sentence when the picture is less than it could be |
 * | `control` | `{holder: {side, operator, name}, epoch, mine}` |
 * | `cursor` | `{png, x, y}` (already shown on the canvas) |
 * | `tabs`, `prompts` | `{tabs: […]}`, `{prompts: […]}` |
 * | `clipboard` | `{text}` |
 * | `refused` | `{n, kind, why}`: an input had no effect |
 * | `keyboard-released` | none; the operator pressed Esc twice |
 * | `stats` | `{rtt, fps, kbps, decodeMs, encodeMs, frames, viewers, kind, masked}`, about once a second while live |
 */

import { CursorShape } from './cursor.js';
import { Decoder, capabilities } from './decode.js';
import { Input } from './input.js';

const BACKOFF_MS = [250, 500, 1000, 2000, 4000, 8000];
const PING_MS = 2000;
const STATS_MS = 1000;
const SILENCE_MS = 10000;
const MAX_FILES_BYTES = 32 * 1024 * 1024;
/** Close codes after which trying again is pointless: unauthenticated, denied, missing, gone, malformed. */
const FINAL = new Set([4401, 4403, 4404, 4411, 4422]);

/** One viewer of `/stream`. */
export class LiveScreen extends EventTarget {
  #canvas;
  #url;
  /** @type {WebSocket | null} */
  #socket = null;
  #decoder;
  #input;
  #cursor;
  #state = 'closed';
  #wanted = false;
  #attempt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pinger;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #meter;
  /** @type {number | null} */
  #epoch = null;
  #visible = true;
  #number = 0;
  #heardAt = 0;
  #lost = false;
  #kind = '';
  #masked = false;
  /** @type {string[]} */
  #pictures = [];
  #ending = new AbortController();
  #stats = { rtt: 0, fps: 0, kbps: 0, decodeMs: 0, encodeMs: 0, frames: 0, viewers: 0, kind: '', masked: false };
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
    this.#decoder = this.#newDecoder();
    this.#input = new Input(canvas, {
      send: message => this.#send({ ...message, n: ++this.#number }),
      copy: () => this.copy(),
      released: () => this.#emit('keyboard-released'),
    });
    new ResizeObserver(() => this.#scaleCursor()).observe(canvas);
    window.addEventListener('online', () => this.#hurry(), { signal: this.#ending.signal });
    document.addEventListener('visibilitychange', () => this.#showOrHide(), { signal: this.#ending.signal });
  }

  get stats() {
    return this.#stats;
  }

  get state() {
    return this.#state;
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
    this.#become('connecting');
    this.#pictures = await capabilities();
    if (this.#wanted) this.#open();
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#retry);
    this.#ending.abort();
    this.#socket?.close(1000);
    this.#stopTimers();
    this.#input.close();
    this.#decoder.close();
    this.#become('closed', 'You closed the live view.', 1000);
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

  // -- the socket -----------------------------------------------------------------------------------------------

  #open() {
    this.#become('connecting');
    const socket = new WebSocket(this.#url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onopen = () => {
      this.#send({ t: 'hello', pictures: this.#pictures });
      this.#showOrHide();
    };
    socket.onmessage = ({ data }) => {
      this.#heardAt = performance.now();
      if (typeof data === 'string') this.#hear(JSON.parse(data));
      else this.#picture(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#dropped(code, reason);
    };
    this.#stopTimers();
    this.#pinger = setInterval(() => this.#ping(), PING_MS);
    this.#meter = setInterval(() => this.#measure(), STATS_MS);
    this.#since = { at: performance.now(), frames: 0, bytes: 0, decode: 0 };
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #dropped(code, reason) {
    this.#stopTimers();
    this.#socket = null;
    this.#input.drive(null);
    if (!this.#wanted) return;
    if (FINAL.has(code)) {
      this.#wanted = false;
      this.#become('closed', reason || 'The server ended this view.', code);
      return;
    }
    const wait = BACKOFF_MS[Math.min(this.#attempt++, BACKOFF_MS.length - 1)] * (0.8 + 0.4 * Math.random());
    this.#become('lost', reason || 'Connection lost, trying again.', code, Math.round(wait));
    this.#retry = setTimeout(() => this.#open(), wait);
  }

  #hurry() {
    if (this.#state !== 'lost' || !this.#wanted) return;
    clearTimeout(this.#retry);
    this.#open();
  }

  #stopTimers() {
    clearInterval(this.#pinger);
    clearInterval(this.#meter);
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #ping() {
    if (performance.now() - this.#heardAt > SILENCE_MS) {
      // a socket that a sleeping laptop left half open never says so by itself
      const dead = this.#socket;
      this.#dropped(4000, 'Connection lost, trying again.');
      dead?.close();
      return;
    }
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
        this.#attempt = 0;
        this.#resize(detail.width, detail.height);
        this.#input.drive(this.#epoch);
        this.#become('live');
        this.#ping();
        break;
      case 'stream':
        this.#kind = detail.kind;
        this.#masked = detail.masked;
        if (detail.kind !== 'jpeg') this.#decoder.expect(detail.codec);
        this.#emit('picture', { ...detail, reduced: this.#reduced(detail.kind) });
        break;
      case 'cursor':
        this.#cursor.set(detail.png, detail.x, detail.y);
        this.#emit('cursor', detail);
        break;
      case 'pong':
        this.#stats = {
          ...this.#stats, rtt: Math.round((performance.now() - detail.c) * 10) / 10, encodeMs: detail.encode_ms, viewers: detail.viewers,
        };
        break;
      case 'control': case 'tabs': case 'prompts': case 'clipboard': case 'refused':
        this.#emit(t, detail);
        break;
    }
  }

  /** @param {string} kind */
  #reduced(kind) {
    if (kind === 'h264-444') return null;
    if (kind === 'h264') return 'This browser shows coloured text a little softer than it is.';
    if (!isSecureContext) return 'Smooth video, clipboard and keyboard capture need HTTPS; open this console by https:// or on the machine itself.';
    return 'This browser has no video decoder for pages; the picture comes as single images.';
  }

  /** @param {ArrayBuffer} data */
  #picture(data) {
    this.#since.bytes += data.byteLength;
    this.#decoder.push(data);
  }

  #newDecoder() {
    return new Decoder(this.#canvas, {
      shown: (frame, decodeMs) => {
        this.#lost = false;
        this.#since.frames++;
        this.#since.decode += decodeMs;
        this.#stats.frames++;
        this.#send({ t: 'ack', f: frame, d: Math.round(decodeMs * 10) / 10 });
      },
      lost: () => {
        if (this.#lost) return;
        this.#lost = true;
        this.requestKeyFrame();
        setTimeout(() => { this.#lost = false; }, 1000);
      },
      size: (width, height) => this.#emit('size', { width, height }),
    });
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
    const now = performance.now();
    const { at, frames, bytes, decode } = this.#since;
    const seconds = Math.max(0.001, (now - at) / 1000);
    this.#stats = {
      ...this.#stats, fps: Math.round(frames / seconds), kbps: Math.round((bytes * 8) / 1000 / seconds),
      decodeMs: frames ? Math.round((decode / frames) * 10) / 10 : this.#stats.decodeMs, kind: this.#kind, masked: this.#masked,
    };
    this.#since = { at: now, frames: 0, bytes: 0, decode: 0 };
    this.#emit('stats', this.#stats);
  }

  /**
   * @param {string} state
   * @param {string} [reason]
   * @param {number | null} [code]
   * @param {number} [retryMs]
   */
  #become(state, reason = '', code = null, retryMs = 0) {
    this.#state = state;
    this.#emit('state', { state, reason, code, retryMs });
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
