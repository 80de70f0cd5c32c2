// @ts-check
/** The server's `/v1/events`: a snapshot, then changes; comes back by itself after a loss, with a new snapshot. */

const BACKOFF_MS = [250, 500, 1000, 2000, 4000, 8000];
/** Close codes that say the sign-in is over. */
const SIGNED_OUT = new Set([4401, 4403]);

/** Emits `message` (detail: the parsed message), `up`, `down` (detail: {signedOut}). */
export class Events extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  connect() {
    clearTimeout(this.#timer);
    const url = new URL('/v1/events', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === 'snapshot') {
        this.#attempt = 0;
        this.dispatchEvent(new Event('up'));
      }
      this.dispatchEvent(new CustomEvent('message', { detail: message }));
    };
    socket.onclose = ({ code }) => {
      if (socket !== this.#socket) return;
      const signedOut = SIGNED_OUT.has(code);
      this.dispatchEvent(new CustomEvent('down', { detail: { signedOut } }));
      if (signedOut) return;
      const wait = BACKOFF_MS[Math.min(this.#attempt++, BACKOFF_MS.length - 1)] * (0.8 + 0.4 * Math.random());
      this.#timer = setTimeout(() => this.connect(), wait);
    };
  }

  /** @param {object} message */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  constructor() {
    super();
    window.addEventListener('online', () => {
      if (this.#socket && this.#socket.readyState > WebSocket.OPEN) this.connect();
    });
  }
}
