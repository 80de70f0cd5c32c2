// @ts-check
/** What the live view shows, decided from what is known: pure functions, no page. */

import { holding } from './words.js';

/**
 * @typedef {object} Known everything the live view knows
 * @property {import('./store.js').World} world
 * @property {{state: string, reason: string, code: number | null, retryMs: number, why?: string | null}} stream
 * @property {{holder: any, epoch: number, mine: boolean} | null} told what the picture's socket said of control
 * @property {boolean} seen whether there has been a picture, or it was lost before it came
 * @property {boolean} online
 * @property {any} finished the handoff this operator just ended
 * @property {any[]} tabs
 * @property {any[]} prompts
 * @property {any} stats
 * @property {string} busy what is being done: taking, done, failed, declined, release, or nothing
 * @property {import('./lease.js').LeaseFacts | null} lease
 * @property {boolean} capturing
 * @property {string | null} reduced
 */

/** Close codes that say the sandbox is not there (any more). */
const ENDED = new Set([4404, 4411]);

/** @param {Known} known @param {string} id */
export function controlOf({ world, told }, id) {
  const view = world.control.get(id) ?? null;
  // the picture's socket comes from the keeper itself: where the two differ, the later epoch is right
  if (told && (!view || told.epoch > view.epoch)) return { ...view, holder: told.holder, epoch: told.epoch, phase: view?.epoch === told.epoch ? view.phase : phaseOf(told.holder) };
  return view;
}

/** @param {{side: string}} holder */
function phaseOf({ side }) {
  return side === 'agent' ? 'agent' : side === 'operator' ? 'held' : 'waiting';
}

/**
 * @param {Known} known
 * @param {string} id the sandbox
 * @param {string} me the operator
 */
export function viewOf(known, id, me) {
  const { world, stream, seen, online, finished } = known;
  const gone = world.known && world.up && !world.sandboxes.has(id);
  if (gone || (stream.state === 'closed' && ENDED.has(stream.code ?? 0))) return 'ended';
  const live = stream.state === 'live';
  // while it tries again its state is "connecting": what was lost stays lost until there is a picture
  if (!live && seen) return world.up || !online ? 'lost' : 'down';
  if (!live) return 'connecting';
  const control = controlOf(known, id);
  if (!control) return 'connecting';
  const { who } = holding(control.holder, me);
  if (who === 'you') return 'driving';
  if (who === 'other') return 'other';
  if (control.phase === 'returning' || control.phase === 'opening') return 'returning';
  if (who === 'agent') return finished ? 'finished' : 'watching';
  if (control.phase === 'parked') return 'parked';
  return control.phase === 'closing' ? 'closing' : 'waiting';
}

/**
 * The holder's mark in the bar and round the picture.
 * @param {string} view
 * @param {any} control
 * @param {string} me
 * @returns {{who: string, icon: string, word: string}}
 */
export function markOf(view, control, me) {
  const { who, word } = holding(control?.holder, me);
  switch (view) {
    case 'connecting': return { who: 'nobody', icon: 'nobody', word: 'Connecting' };
    case 'lost': return { who: 'danger', icon: 'offline', word: 'Connection lost' };
    case 'down': return { who: 'danger', icon: 'server', word: 'Server not answering' };
    case 'ended': return { who: 'nobody', icon: 'nobody', word: 'This sandbox has ended' };
    case 'waiting': return { who: 'nobody', icon: 'nobody', word: 'Waiting for a human' };
    case 'closing': return { who: 'nobody', icon: 'nobody', word: 'Stopping the agent' };
    case 'returning': return { who: 'nobody', icon: 'nobody', word: 'Going back to the agent' };
    case 'parked': return { who: 'nobody', icon: 'nobody', word: 'Parked, nobody has control' };
    default: return { who, icon: who, word };
  }
}

/** With this much left of their time the holder is told. */
const ENDS_SOON_S = 300;

/**
 * What the holder must know at once, the most pressing first; null where there is nothing.
 * @param {string} view
 * @param {any} control
 * @param {Known} known
 * @param {number} now
 * @returns {{kind: 'idle' | 'ceiling' | 'asks', [fact: string]: any} | null}
 */
export function urgent(view, control, { lease, world: { limits } }, now) {
  if (view !== 'driving') return null;
  const asked = control?.handoff?.asked_by !== 'operator';
  if (lease && lease.idle_at - now < (limits?.idle_warning_s ?? 30)) return { kind: 'idle', until: lease.idle_at, asked };
  const [request, ...others] = control?.requests ?? [];
  if (request) return { kind: 'asks', request, others: others.length };
  if (lease && lease.ends_at - now < Math.min(ENDS_SOON_S, (limits?.ceiling_s ?? 3600) / 2)) return { kind: 'ceiling', until: lease.ends_at, extended: lease.extended, asked };
  return null;
}

/**
 * Said once when control moved to or from this operator by somebody else's doing; '' where there is nothing to say.
 * @param {{how: string, by: string, from: string} | null | undefined} move
 * @param {boolean} had whether this operator had control before
 * @param {boolean} has whether they have it now
 */
export function movedWords(move, had, has) {
  if (!move || had === has) return '';
  if (has) return move.how === 'given' ? `${move.by} gave you control.` : '';
  switch (move.how) {
    case 'forced': return `${move.by} took control from you.`;
    case 'idle': return 'Nothing came from you for a while, so control was given back.';
    case 'ceiling': return 'Your time in control was up, so control was given back.';
    case 'heartbeat': return 'Your connection was gone for too long, so control was parked.';
    case 'cancelled': return 'The agent withdrew its request, so control is back with it.';
    default: return '';
  }
}

/**
 * For whom a parked handoff is kept, while that lasts.
 * @param {any} control
 * @param {number} now
 * @returns {{operator: {id: string, name: string}, until: number} | null}
 */
export function reservedFor(control, now) {
  const reserved = control?.handoff?.reserved;
  return control?.phase === 'parked' && reserved && reserved.until > now ? reserved : null;
}

/** @type {Record<string, [icon: string, what: string, words: string]>} */
const LOSSES = {
  slept: ['offline', 'This computer slept', 'Its connection did not outlast that.'],
  network: ['offline', 'The network changed', 'The old connection ended with it.'],
  offline: ['offline', 'You are offline', 'This page goes on as soon as the network is back.'],
  restart: ['server', 'The server is starting anew', 'This takes a moment.'],
  dropped: ['offline', 'Connection lost', 'The network between here and the server broke off.'],
};

/**
 * What happened to the connection, and what holds of control meanwhile: `keeps` until `until`, or the words of `holds`.
 * @param {Known} known
 * @param {any} control
 * @param {string} me
 * @param {number} now
 * @returns {{icon: string, what: string, words: string, keeps: boolean, until: number, holds: string}}
 */
export function lossOf({ stream, online, lease }, control, me, now) {
  const [icon, what, words] = LOSSES[online ? stream.why ?? 'dropped' : 'offline'] ?? LOSSES.dropped;
  const { who, word } = holding(control?.holder, me);
  const until = lease?.expires_at ?? 0;
  const keeps = who === 'you' && until > now;
  const holds = {
    agent: 'The agent goes on working.',
    other: `${word}.`,
    nobody: 'The agent stays stopped.',
    you: lease === null ? 'You had control. The agent stays stopped.' : 'Your time in control has run out. The agent stays stopped, and you can take control again.',
  }[who];
  return { icon, what, words, keeps, until, holds };
}

/** @type {Record<string, string>} */
const BACK = { slept: 'This computer slept.', network: 'The network changed.', offline: 'You were offline.', restart: 'The server started anew.', dropped: 'The connection broke off.' };

/**
 * Said once when the picture is back.
 * @param {string} why
 * @param {boolean} had whether the operator was in control when it was lost
 * @param {boolean} mine whether the operator is now
 */
export function backOf(why, had, mine) {
  const control = mine ? 'You still have control.' : had ? 'You no longer have control.' : '';
  return `Connected again. ${BACK[why] ?? BACK.dropped} ${control}`.trim();
}
