// @ts-check
/** One state object for a page: never changed in place, replaced by `update`; whoever subscribed hears of it once. */

/**
 * @template {object} S
 */
export class Store {
  /** @type {S} */
  #state;
  /** @type {Set<(state: S, before: S) => void>} */
  #listeners = new Set();
  #told;
  #planned = false;

  /** @param {S} initial */
  constructor(initial) {
    this.#state = Object.freeze({ ...initial });
    this.#told = this.#state;
  }

  get state() {
    return this.#state;
  }

  /** @param {Partial<S>} change */
  update(change) {
    const entries = /** @type {[keyof S, any][]} */ (Object.entries(change));
    if (entries.every(([name, value]) => this.#state[name] === value)) return;
    this.#state = Object.freeze({ ...this.#state, ...change });
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => this.#tell());
  }

  /** @param {(state: S, before: S) => void} listener */
  subscribe(listener) {
    this.#listeners.add(listener);
    listener(this.#state, this.#state);
    return () => this.#listeners.delete(listener);
  }

  #tell() {
    this.#planned = false;
    const [state, before] = [this.#state, this.#told];
    this.#told = state;
    for (const listener of this.#listeners) listener(state, before);
  }
}

/**
 * What `/v1/events` says, folded into one value.
 * @typedef {object} World
 * @property {boolean} known whether a snapshot was heard
 * @property {boolean} up
 * @property {Map<string, any>} handoffs open ones by id
 * @property {Map<string, any>} sandboxes open ones by id
 * @property {Map<string, any>} control views by sandbox
 * @property {Limits | null} limits
 * @property {Map<string, any[]>} conditions parts of what an agent waits for, by handoff, as the server last saw them
 * @property {Map<string, {target: string, url: string, title: string, findings: any[]}[]>} blockers pages on which something may stop an agent, by sandbox
 * @property {Map<string, any>} approvals pending ones by id
 * @property {any[]} ended handoffs that ended while this page was open, newest first
 */

/**
 * How long things last, in seconds.
 * @typedef {object} Limits
 * @property {number} lease_s
 * @property {number} heartbeat_s
 * @property {number} grace_s
 * @property {number} idle_s
 * @property {number} idle_warning_s
 * @property {number} ceiling_s
 * @property {number} extension_s
 * @property {number} deadline_s
 * @property {number} max_deadline_s
 * @property {number} drain_s
 */

/** @type {World} */
export const NOTHING = Object.freeze({
  known: false, up: false, handoffs: new Map(), sandboxes: new Map(), control: new Map(), limits: null, conditions: new Map(), blockers: new Map(), approvals: new Map(), ended: [],
});

const FINAL = new Set(['resolved', 'failed', 'declined', 'expired', 'cancelled']);

/** @param {any} handoff */
export const isFinal = handoff => FINAL.has(handoff.state);

/**
 * @param {World} world
 * @param {any} message
 * @returns {World}
 */
export function fold(world, message) {
  switch (message.type) {
    case 'snapshot': {
      const control = new Map(Object.entries(message.control ?? {}));
      return {
        ...world, known: true, up: true, control, limits: message.limits ?? null,
        conditions: new Map((message.conditions ?? []).map((/** @type {any} */ one) => [one.handoff, one.parts])),
        blockers: new Map(Object.entries(message.blockers ?? {})),
        approvals: new Map((message.approvals ?? []).map((/** @type {any} */ a) => [a.id, a])),
        handoffs: new Map((message.queue ?? []).map((/** @type {any} */ h) => [h.id, h])),
        sandboxes: new Map((message.sandboxes ?? []).map((/** @type {any} */ s) => [s.id, s])),
      };
    }
    case 'handoff': {
      const { handoff } = message;
      const handoffs = new Map(world.handoffs);
      if (!isFinal(handoff)) return { ...world, handoffs: handoffs.set(handoff.id, handoff) };
      handoffs.delete(handoff.id);
      return { ...world, handoffs, ended: [handoff, ...world.ended.filter(other => other.id !== handoff.id)] };
    }
    case 'condition':
      return { ...world, conditions: new Map(world.conditions).set(message.handoff, message.parts) };
    case 'blockers':
      return { ...world, blockers: new Map(world.blockers).set(message.sandbox, message.pages) };
    case 'approval': {
      const approvals = new Map(world.approvals);
      if (message.approval.state === 'pending') approvals.set(message.approval.id, message.approval);
      else approvals.delete(message.approval.id);
      return { ...world, approvals };
    }
    case 'control': {
      const { control } = message;
      const views = new Map(world.control).set(control.sandbox, control);
      const sandboxes = new Map(world.sandboxes);
      const sandbox = sandboxes.get(control.sandbox);
      if (sandbox) sandboxes.set(sandbox.id, { ...sandbox, state: control.phase, holder: control.holder, epoch: control.epoch });
      return { ...world, control: views, sandboxes };
    }
    case 'sandbox': {
      const { sandbox } = message;
      const sandboxes = new Map(world.sandboxes);
      if (sandbox.state === 'closed') sandboxes.delete(sandbox.id);
      else sandboxes.set(sandbox.id, sandbox);
      return { ...world, sandboxes };
    }
    default:
      return world;
  }
}
