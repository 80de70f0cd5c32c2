// @ts-check
/** Keeping control while this page is alive. */

import { control } from './api.js';

const HEARTBEAT_MS = 5000;

/** When control ends: without a heartbeat, without input, in any case. @typedef {{expires_at: number, idle_at: number, ends_at: number, extended: boolean}} LeaseFacts */

/** Renews one lease until `stop`. */
export class Lease {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #beat;
  #sandbox;
  #events;
  #on;
  /** @type {number | null} */
  epoch = null;

  /**
   * @param {string} sandbox
   * @param {import('./events.js').Events} events
   * @param {{renewed: (lease: LeaseFacts) => void}} on
   */
  constructor(sandbox, events, on) {
    this.#sandbox = sandbox;
    this.#events = events;
    this.#on = on;
    events.addEventListener('message', event => {
      const message = /** @type {CustomEvent} */ (event).detail;
      if (message.type === 'lease' && message.sandbox === sandbox && message.epoch === this.epoch) on.renewed(message);
    });
  }

  /** @param {number} epoch */
  hold(epoch) {
    if (epoch === this.epoch) return;
    this.stop();
    this.epoch = epoch;
    this.#beat = setInterval(() => this.renew(), HEARTBEAT_MS);
    this.renew();
  }

  stop() {
    clearInterval(this.#beat);
    this.epoch = null;
  }

  async renew() {
    const { epoch } = this;
    if (epoch === null || this.#events.send({ type: 'heartbeat', sandbox: this.#sandbox, epoch })) return;
    try {
      const lease = await control(this.#sandbox, 'heartbeat', { epoch });
      if (epoch === this.epoch) this.#on.renewed(lease);
    } catch { /* the countdown goes on; control is told by those who know */ }
  }
}
