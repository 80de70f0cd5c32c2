// @ts-check
/** The live view of one sandbox: joins the picture, the server's news and the operator's actions. */

import { control as order } from './api.js';
import { drawAction, drawBar, drawVeil } from './bar.js';
import { now, retick } from './clock.js';
import { askExtension, askGiveUp, askOverride, confirmForce } from './dialogs.js';
import { byId, toast } from './dom.js';
import { keepFitted } from './fit.js';
import { follow, ME } from './frame.js';
import { listenForKeys } from './keys.js';
import { Lease } from './lease.js';
import { drawPanel } from './panel.js';
import { Prompts } from './prompts.js';
import { Quality } from './quality.js';
import { soundButtons } from './sound.js';
import { Store } from './store.js';
import { drawStrip } from './strip.js';
import { LiveScreen } from './stream/live.js';
import { showTabs } from './tabs.js';
import { backOf, controlOf, markOf, movedWords, urgent, viewOf } from './view.js';
import { SECRET_KINDS } from './words.js';

const ID = document.body.dataset.sandbox ?? '';
const FINGERS = matchMedia('(pointer: coarse)').matches;
const SMALL = matchMedia('(max-width: 760px), (max-height: 480px)');

const { store: news, events } = follow();
const store = new Store(/** @type {import('./view.js').Known} */ ({
  world: news.state, stream: { state: 'closed', reason: '', code: null, retryMs: 0 }, told: null, seen: false, online: navigator.onLine,
  finished: null, tabs: [], prompts: [], stats: null, busy: '', lease: null, capturing: false, reduced: null,
}));
const canvas = /** @type {HTMLCanvasElement} */ (byId('screen'));
const screen = new LiveScreen(canvas, { url: `/v1/sandboxes/${encodeURIComponent(ID)}/live` });
const lease = new Lease(ID, events, { renewed: ({ expires_at, idle_at, ends_at, extended }) => store.update({ lease: { expires_at, idle_at, ends_at, extended } }) });
const prompts = new Prompts(byId('remote'), screen);
const quality = new Quality(/** @type {HTMLDetailsElement} */ (byId('quality')));
soundButtons([byId('sound'), byId('thumb-sound')], screen);
const refit = keepFitted({ room: byId('room'), frame: byId('frame'), canvas });

/** Why the picture was away, until what holds of control is known. @type {string | null} */
let back = null;
let had = false;

/** @type {(name: string, act: (detail: any) => void) => void} */
const on = (name, act) => screen.addEventListener(name, event => act(/** @type {CustomEvent} */ (event).detail));
on('state', stream => {
  store.update({ stream, ...(stream.state === 'live' || stream.state === 'lost' ? { seen: true } : {}) });
  if (stream.state !== 'live') quality.lost();
  if (stream.state === 'lost') had ||= current().control?.holder?.operator === ME;
  else if (stream.state === 'live') back = stream.why;
});
on('control', told => {
  store.update({ told });
  if (back) toast(backOf(back, had, told.mine), { name: 'info', ms: 6000 });
  [back, had] = [null, false];
});
on('tabs', ({ tabs }) => store.update({ tabs }));
on('prompts', ({ prompts: list }) => store.update({ prompts: list }));
on('stats', stats => { quality.show(stats); store.update({ stats }); byId('unzoom').hidden = screen.zoom <= 1; });
on('picture', ({ reduced }) => store.update({ reduced }));
on('size', refit);
on('refused', ({ kind, why }) => { if (kind !== 'stale') toast(why, { name: 'warning' }); });
on('keyboard-released', () => document.getElementById('primary')?.focus());
on('clipboard', ({ text }) => copied(text));
news.subscribe((world, before) => {
  store.update({ world });
  tellMove(world.control.get(ID), before.control.get(ID));
});
for (const name of ['online', 'offline']) window.addEventListener(name, () => store.update({ online: navigator.onLine }));
for (const name of ['focusin', 'focusout']) document.addEventListener(name, () => queueMicrotask(() => store.update({ capturing: screen.keyboardActive })));

/** @param {string} text what was copied in the page */
async function copied(text) {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied from the page: “${shown}”`, { name: 'paste' });
  } catch {
    toast(`Copied in the page: “${shown}”. Your browser keeps it out of your clipboard here.`, { name: 'paste', ms: 8000 });
  }
}

document.addEventListener('paste', event => {
  if (!screen.keyboardActive) return;
  const text = event.clipboardData?.getData('text/plain') ?? '';
  const secret = SECRET_KINDS.has(current().control?.handoff?.kind);
  if (text) toast(secret ? 'Pasted into the page. It is kept secret.' : `Pasted: “${text.length > 60 ? `${text.slice(0, 60)}…` : text}”`, { name: secret ? 'lock' : 'paste' });
}, true);

function current() {
  const known = store.state;
  const control = controlOf(known, ID);
  return { known, control, view: viewOf(known, ID, ME) };
}

/** Whether the operator left the panel as it is on purpose. */
let chosen = false;

/** @param {boolean} open */
function unfold(open) {
  document.body.dataset.panel = open ? 'open' : 'folded';
  for (const id of ['fold', 'sheet']) byId(id).setAttribute('aria-expanded', String(open));
}

/** @param {string} busy @param {() => Promise<void>} act */
async function during(busy, act) {
  if (store.state.busy) return;
  store.update({ busy });
  try {
    await act();
  } catch (error) {
    toast(/** @type {Error} */ (error).message, { name: 'warning', ms: 8000 });
  } finally {
    store.update({ busy: '' });
  }
}

/** @param {object} how */
function take(how = {}) {
  return during('taking', async () => {
    const { handoff } = current().control ?? {};
    const asked = handoff && handoff.asked_by !== 'operator' ? { handoff: handoff.id } : {};
    const taken = await order(ID, 'take', { ...asked, ...how }).catch(error => {
      // the answer may have been lost on its way; who has control is what the server says of it
      if (current().view !== 'driving') throw error;
    });
    if (taken) store.update({ finished: null, lease: taken.lease, told: { holder: { side: 'operator', operator: ME, name: null }, epoch: taken.epoch, mine: true } });
    if (taken) screen.drive(taken.epoch);
    if (SMALL.matches) unfold(false);
    if (!FINGERS) screen.focus();
  });
}

/** @param {string | null} override */
async function done(override = null) {
  const { control } = current();
  const note = /** @type {HTMLTextAreaElement | null} */ (document.getElementById('note'))?.value.trim() ?? '';
  /** @type {any[] | null} */
  let missing = null;
  await during('done', async () => {
    try {
      end(await order(ID, 'done', { epoch: control.epoch, note, ...(override ? { override } : {}) }));
    } catch (error) {
      const { code, parts } = /** @type {import('./api.js').ApiError} */ (error);
      if (code !== 'ConditionsNotMet' && !parts?.length) throw error;
      missing = parts;
    }
  });
  if (!missing) return;
  const reason = await askOverride(missing);
  if (reason) await done(reason);
  else if (!FINGERS) screen.focus();
}

/** @param {any} handoff */
function end(handoff) {
  if (handoff?.asked_by === 'operator') toast('Control is back with the agent.', { name: 'done' });
  else store.update({ finished: handoff });
}

/** @param {'failed' | 'declined'} verb */
async function giveUp(verb) {
  const note = await askGiveUp(verb);
  if (note) await during(verb, async () => end(await order(ID, verb, { epoch: current().control.epoch, note })));
}

function release() {
  return during('release', async () => {
    const after = await order(ID, 'release', { epoch: current().control.epoch });
    toast(after?.asked_by === 'operator' ? 'Control is back with the agent.' : 'It is back in the queue. The agent stays stopped.', { name: 'out' });
  });
}

/** @type {(verb: string, body?: object) => Promise<any>} */
const say = (verb, body = {}) => order(ID, verb, { epoch: current().control.epoch, ...body });

const between = {
  stay: () => during('stay', async () => store.update({ lease: await say('stay') })),
  extend: async () => {
    const reason = await askExtension(store.state.world.limits);
    if (reason) await during('extend', async () => store.update({ lease: await say('extend', { reason }) }));
  },
  /** @param {{id: string, name: string}} operator */
  give: operator => during('give', () => say('give', { operator: operator.id })),
  /** @param {{id: string, name: string}} operator */
  deny: operator => during('deny', () => say('deny', { operator: operator.id })),
};

function request() {
  return during('request', async () => {
    await order(ID, 'request', {});
    toast(`${current().control?.holder?.name ?? 'The operator'} is asked to give you control.`, { name: 'other' });
  });
}

/** For those who may: take control from another operator, who is told by whom. */
async function force() {
  if (await confirmForce(current().control.holder.name)) await take({ force: true });
}

function retry() {
  window.dispatchEvent(new Event('online'));
}

/** @param {string} view @param {any} control @param {import('./view.js').Known} known */
function drive(view, control, known) {
  const mine = control && control.holder?.side === 'operator' && control.holder.operator === ME;
  if (mine) {
    screen.drive(control.epoch);
    lease.hold(control.epoch);
    if (known.lease === null && control.handoff?.lease) store.update({ lease: control.handoff.lease });
  } else {
    screen.drive(null);
    lease.stop();
    store.update({ lease: null });
  }
}

let lastView = '';

function draw() {
  const { known, control, view } = current();
  const open = [...known.world.handoffs.values()];
  const next = open.filter(one => one.sandbox !== ID && one.asked_by !== 'operator' && ['waiting', 'parked', 'asked'].includes(one.state)).sort((a, b) => a.created_at - b.created_at)[0] ?? null;
  const ended = known.world.ended.find(one => one.sandbox === ID) ?? null;
  drive(view, control, known);
  drawBar({ view, mark: markOf(view, control, ME), control, known });
  if (view !== lastView && !chosen) {
    const asked = control?.handoff && control.handoff.asked_by !== 'operator';
    const wanted = view === 'finished' || (asked && ['waiting', 'parked', 'closing', 'other', 'driving'].includes(view));
    unfold(Boolean(wanted) && !(SMALL.matches && view === 'driving'));
  }
  drawAction({ view, control, known, next }, { take: () => take(), done: () => done(), request, retry });
  drawStrip({ view, control, known }, between);
  drawVeil({ view, control, known, ended }, { retry });
  drawPanel({ view, control, known, next, sandbox: known.world.sandboxes.get(ID) }, { giveUp, release, force, keep: () => lease.renew(), screen });
  showTabs(byId('tabs'), known.tabs, view === 'driving', screen);
  prompts.show(known.prompts, view === 'driving');
  if (view !== lastView && !FINGERS && ['waiting', 'parked'].includes(view) && document.activeElement === document.body) document.getElementById('primary')?.focus();
  lastView = view;
  retick();
}

/** Say when somebody else's doing moved control to or from this operator. @param {any} after @param {any} before */
function tellMove(after, before) {
  if (!after || !before || after.epoch === before.epoch) return;
  const has = after.holder.operator === ME;
  const words = movedWords(after.last, before.holder.operator === ME, has);
  if (words) toast(words, { name: has ? 'you' : 'info', ms: 10000 });
}

/** A link that lands with control taken: again and again for a moment, because the sandbox may just be starting. */
async function takeAtOnce() {
  history.replaceState(null, '', location.pathname);
  for (let attempt = 0; attempt < 5 && current().view !== 'driving'; attempt++) {
    await take();
    if (current().view !== 'driving') await new Promise(resolve => setTimeout(resolve, 1000));
  }
}

function toggleKeys() {
  if (screen.keyboardActive) screen.blur();
  else screen.focus();
}

for (const id of ['capture', 'thumb-keys']) {
  byId(id).addEventListener('pointerdown', event => event.preventDefault());
  byId(id).addEventListener('click', toggleKeys);
}
for (const id of ['fold', 'sheet', 'grip']) {
  byId(id).addEventListener('click', () => { chosen = true; unfold(document.body.dataset.panel !== 'open'); });
}
byId('unzoom').addEventListener('click', () => { screen.resetZoom(); byId('unzoom').hidden = true; });
listenForKeys({
  p: { does: 'Open or fold the panel', act: () => byId('fold').click() },
  t: { does: 'Take control', act: () => { if (['watching', 'waiting', 'parked'].includes(current().view)) take(); } },
  s: { does: 'Turn the page’s sound on or off', act: () => byId('sound').click() },
  q: { does: 'Back to the queue', act: () => location.assign('/') },
}, [{ key: 'Esc Esc', does: 'Give the keys back to the console' }]);
new ResizeObserver(() => document.body.style.setProperty('--actions', `${byId('actions').offsetWidth + 64}px`)).observe(byId('actions'));

store.subscribe(draw);
setInterval(() => {
  const { known, control, view } = current();
  const shown = byId('strip').dataset.urgent ?? '';
  if ((known.lease !== null && known.lease.expires_at - now() < 10) || shown !== (urgent(view, control, known, now())?.kind ?? '')) draw();
}, 1000);
screen.connect();
if (new URLSearchParams(location.search).has('take')) {
  const stop = news.subscribe(({ known }) => {
    if (!known) return;
    queueMicrotask(() => stop());
    takeAtOnce();
  });
}
