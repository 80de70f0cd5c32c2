// @ts-check
/**
 * The socket of one `/stream`, and its coming back: after a loss it is opened again, sooner and later, until the
 * server says that there is nothing to come back to. A computer that slept or changed its network is noticed at once:
 * the socket would not say so for minutes.
 */

import { Ways } from './rtc.js';

const BACKOFF_MS = [250, 500, 1000, 2000, 4000, 8000];
const TICK_MS = 1000;
const PING_MS = 2000;
const SILENCE_MS = 10000;
/** Timers that stood still for this long: the computer slept. */
const SLEPT_MS = 5000;
/** A hidden page's timers may be held back for a minute by the browser alone. */
const HIDDEN_MS = 90000;
const PROBE_MS = 2000;
/** How long ago a change of network explains a loss. */
const RECENT_MS = 15000;
/** Close codes after which trying again is pointless: unauthenticated, denied, missing, gone, malformed. */
const FINAL = new Set([4401, 4403, 4404, 4411, 4422]);
/** Close codes of a server that goes: away, restarting, overloaded (IANA WebSocket close code registry). */
const LEAVING = new Set([1001, 1012, 1013]);

/** @typedef {'slept' | 'network' | 'offline' | 'restart' | 'dropped'} Why */

/** @type {Record<Why, string>} */
const WORDS = {
  slept: 'This computer slept. Connecting again.',
  network: 'The network changed. Connecting again.',
  offline: 'This device is offline. It connects again by itself.',
  restart: 'The server is starting anew. Connecting again.',
  dropped: 'Connection lost. Connecting again.',
};

/**
 * @typedef {object} Change
 * @property {'connecting' | 'live' | 'lost' | 'closed'} state
 * @property {string} reason in words
 * @property {number | null} code
 * @property {number} retryMs until the next attempt
 * @property {Why | null} why the connection was lost; kept while it is tried again, and told a last time with "live"
 * @property {number} awayMs how long it was lost; only with "live"
 */

/**
 * @typedef {object} On
 * @property {(openedMs: number) => void} open say hello
 * @property {(data: string | ArrayBuffer) => void} hear
 * @property {() => void} ping
 * @property {() => void} drop the socket is gone
 * @property {(change: Change) => void} state
 */

/** One way to the server. */
export class Connection {
  #url;
  #on;
  /** @type {Ways | null} */
  #socket = null;
  #state = 'closed';
  #wanted = false;
  #attempt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #probing;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticker;
  #tickedAt = 0;
  #pingedAt = 0;
  #heardAt = 0;
  #lostAt = 0;
  /** @type {Why | null} */
  #why = null;
  /** @type {{why: Why, at: number} | null} */
  #sign = null;
  #ending = new AbortController();

  /**
   * @param {URL} url
   * @param {On} on
   */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    const { signal } = this.#ending;
    window.addEventListener('online', () => this.#suspect('network'), { signal });
    window.addEventListener('pageshow', event => { if (event.persisted) this.#suspect('slept'); }, { signal });
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.#suspect(null); }, { signal });
    const network = /** @type {EventTarget | undefined} */ (/** @type {any} */ (navigator).connection);
    let before = address();
    network?.addEventListener?.('change', () => {
      // its estimates of speed change all the time; only the kind of network matters
      if (before !== (before = address())) this.#suspect('network');
    }, { signal });
  }

  get state() {
    return this.#state;
  }

  /** Which way messages take now. @returns {'socket' | 'datagrams'} */
  get way() {
    return this.#socket?.stats.way === 'datagrams' ? 'datagrams' : 'socket';
  }

  start() {
    this.#wanted = true;
    this.#tickedAt = Date.now();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#open();
  }

  /** The server has said hello. */
  welcome() {
    const [why, awayMs] = [this.#why, this.#why ? Math.round(performance.now() - this.#lostAt) : 0];
    this.#attempt = 0;
    this.#why = null;
    this.#become('live', { why, awayMs });
  }

  /** @param {string} text */
  send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  /** Open it anew at once. */
  again() {
    if (this.#socket) this.#dropped(4000, '', 'dropped');
  }

  close() {
    this.#wanted = false;
    this.#stop();
    this.#socket?.close(1000);
    this.#become('closed', { reason: 'You closed the live view.', code: 1000 });
  }

  #stop() {
    clearTimeout(this.#retry);
    clearTimeout(this.#probing);
    clearInterval(this.#ticker);
    this.#ending.abort();
  }

  #open() {
    this.#become('connecting', { why: this.#why });
    const socket = new Ways(this.#url);
    const began = performance.now();
    this.#socket = socket;
    this.#heardAt = began;
    socket.onopen = () => this.#on.open(Math.round(performance.now() - began));
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#heardAt = performance.now();
      this.#on.hear(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#dropped(code, reason, null);
    };
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {Why | null} why
   */
  #dropped(code, reason, why) {
    clearTimeout(this.#probing);
    this.#probing = undefined;
    const dead = this.#socket;
    this.#socket = null;
    dead?.close();
    this.#on.drop();
    if (!this.#wanted) return;
    if (FINAL.has(code)) {
      this.#wanted = false;
      this.#stop();
      this.#become('closed', { reason: reason || 'The server ended this view.', code });
      return;
    }
    if (!this.#why) this.#lostAt = performance.now();
    // the first loss says what happened, the attempts after it only that it goes on
    this.#why = why ?? (navigator.onLine ? this.#why ?? this.#explain(code) : 'offline');
    const retryMs = why ? 0 : Math.round(BACKOFF_MS[Math.min(this.#attempt++, BACKOFF_MS.length - 1)] * (0.8 + 0.4 * Math.random()));
    this.#become('lost', { reason: reason || WORDS[this.#why], code, retryMs, why: this.#why });
    this.#retry = setTimeout(() => this.#open(), retryMs);
  }

  /**
   * @param {number} code
   * @returns {Why}
   */
  #explain(code) {
    if (LEAVING.has(code)) return 'restart';
    return this.#sign && Date.now() - this.#sign.at < RECENT_MS ? this.#sign.why : 'dropped';
  }

  #tick() {
    const now = Date.now();
    const gap = now - this.#tickedAt;
    this.#tickedAt = now;
    if (gap > (document.hidden ? HIDDEN_MS : SLEPT_MS)) {
      this.#suspect('slept');
      return;
    }
    if (!this.#socket) return;
    if (performance.now() - this.#heardAt > SILENCE_MS) this.#dropped(4000, '', this.#sign ? this.#explain(4000) : 'dropped');
    else if (this.#state === 'live' && now - this.#pingedAt >= PING_MS) this.ping();
  }

  ping() {
    this.#pingedAt = Date.now();
    this.#on.ping();
  }

  /**
   * Something happened after which the socket may be dead: an answer is asked for, and without one it is opened anew.
   * @param {Why | null} sign what it was
   */
  #suspect(sign) {
    if (sign) this.#sign = { why: sign, at: Date.now() };
    if (!this.#wanted) return;
    if (this.#state === 'lost') {
      clearTimeout(this.#retry);
      this.#open();
    } else if (this.#state === 'live' && this.#probing === undefined) {
      const asked = performance.now();
      this.ping();
      this.#probing = setTimeout(() => {
        this.#probing = undefined;
        if (this.#heardAt < asked) this.#dropped(4000, '', this.#explain(4000));
      }, PROBE_MS);
    }
  }

  /**
   * @param {Change['state']} state
   * @param {Partial<Change>} [more]
   */
  #become(state, more = {}) {
    this.#state = state;
    this.#on.state({ state, reason: '', code: null, retryMs: 0, why: null, awayMs: 0, ...more });
  }
}

/** The kind of network, where the browser says it (Network Information API). */
function address() {
  const { type = '' } = /** @type {any} */ (navigator).connection ?? {};
  return type;
}
