// @ts-check
/** Keeping control while this page is alive, and looking whether the agent's conditions hold. */

import { control } from './api.js';

const HEARTBEAT_MS = 5000;
const CHECK_MS = 2000;

/** Renews one lease until `stop`. */
export class Lease {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #beat;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #look;
  #sandbox;
  #events;
  #on;
  /** @type {number | null} */
  epoch = null;

  /**
   * @param {string} sandbox
   * @param {import('./events.js').Events} events
   * @param {{renewed: (until: number) => void, parts: (parts: any[]) => void}} on
   */
  constructor(sandbox, events, on) {
    this.#sandbox = sandbox;
    this.#events = events;
    this.#on = on;
    events.addEventListener('message', event => {
      const message = /** @type {CustomEvent} */ (event).detail;
      if (message.type === 'lease' && message.sandbox === sandbox && message.epoch === this.epoch) on.renewed(message.expires_at);
    });
  }

  /** @param {number} epoch @param {boolean} looks whether there are conditions to look at */
  hold(epoch, looks) {
    if (epoch === this.epoch) return;
    this.stop();
    this.epoch = epoch;
    this.#beat = setInterval(() => this.renew(), HEARTBEAT_MS);
    this.renew();
    if (looks) this.#check();
  }

  stop() {
    clearInterval(this.#beat);
    clearTimeout(this.#look);
    this.epoch = null;
  }

  async renew() {
    const { epoch } = this;
    if (epoch === null || this.#events.send({ type: 'heartbeat', sandbox: this.#sandbox, epoch })) return;
    try {
      const { expires_at: until } = await control(this.#sandbox, 'heartbeat', { epoch });
      if (epoch === this.epoch) this.#on.renewed(until);
    } catch { /* the countdown goes on; control is told by those who know */ }
  }

  async #check() {
    const { epoch } = this;
    try {
      const { parts } = await control(this.#sandbox, 'check', { epoch });
      if (epoch === this.epoch) this.#on.parts(parts);
    } catch { /* the next look may succeed */ }
    if (epoch !== null && epoch === this.epoch) this.#look = setTimeout(() => this.#check(), CHECK_MS);
  }
}
