// @ts-check
/** The queue: what waits longest first, who holds what, and how it went today. */

import { get } from './api.js';
import { approvalCard } from './approvals.js';
import { counting, inWords, now, retick, ring, timeOfDay } from './clock.js';
import { byId, h, icon, reconcile, toast } from './dom.js';
import { follow, insecureNotice, ME, settings, showLink } from './frame.js';
import { listenForKeys } from './keys.js';
import { count, tell } from './notify.js';
import { isFinal } from './store.js';
import { blocker, holding, outcome, short } from './words.js';

const { store } = follow();
const rows = byId('rows');
const search = /** @type {HTMLInputElement} */ (byId('search'));
let filter = 'all';
/** @type {Map<string, any>} */
let past = new Map();

/** @param {any} handoff */
function matches(handoff) {
  const text = `${handoff.instructions} ${handoff.site} ${handoff.title} ${blocker(handoff.kind).label}`.toLowerCase();
  const held = handoff.state === 'held';
  return text.includes(search.value.trim().toLowerCase()) && (filter === 'all' || (filter === 'held') === held);
}

/** @param {any} handoff */
function row(handoff) {
  const { icon: name, label, ask } = blocker(handoff.kind);
  const held = handoff.state === 'held' && handoff.lease;
  const who = held ? holding({ side: 'operator', operator: handoff.lease.operator.id, name: handoff.lease.operator.name }, ME) : null;
  const state = who ? { who: who.who, word: who.word } : { who: 'nobody', word: WAITING[handoff.state] ?? 'Waiting' };
  const picture = h('img', { src: `/v1/sandboxes/${handoff.sandbox}/thumbnail.jpg?width=320`, alt: '', loading: 'lazy', on: { error: hide } });
  return h('li', {}, h('a.row-link', { href: `/sandboxes/${handoff.sandbox}` },
    h('div.thumb', {}, icon(name, 'large'), picture),
    h('div.row-main', {},
      h('div.row-top', {}, h('span.tag', {}, icon(name), label), h('span.row-site', {}, short(handoff.site))),
      h('div.row-ask', {}, handoff.instructions || ask)),
    h('span.row-who', {}, h('span.holder', { data: { holder: state.who } }, icon(state.who), state.word)),
    h('span.row-age', {}, h('span.visually-hidden', {}, 'waiting for '), counting(handoff.created_at), ring(handoff.created_at, handoff.deadline_at))));
}

/** @type {Record<string, string>} */
const WAITING = { asked: 'Stopping the agent', waiting: 'Waiting', parked: 'Waiting again', returning: 'Going back' };

/** @param {Event} event */
function hide(event) {
  /** @type {HTMLElement} */ (event.target).hidden = true;
}

/** @param {import('./store.js').World} world */
function waitingList(world) {
  return [...world.handoffs.values()].filter(handoff => handoff.asked_by !== 'operator').sort((a, b) => a.created_at - b.created_at);
}

/** @param {import('./store.js').World} world */
function draw(world) {
  if (!world.known) return;
  const all = waitingList(world);
  const shown = all.filter(matches);
  const fresh = reconcile(rows, shown, handoff => handoff.id, row);
  if (rows.ariaBusy === 'false') fresh.forEach(element => element.firstElementChild?.classList.add('row-new'));
  rows.ariaBusy = 'false';
  rows.hidden = shown.length === 0;
  byId('empty').hidden = shown.length > 0;
  const searching = all.length > 0;
  byId('empty-title').textContent = searching ? 'Nothing matches' : 'Nobody is waiting';
  byId('empty-words').textContent = searching
    ? 'Others wait, but not with these words or in this state.'
    : 'When an agent gets stuck, it appears here, and this page tells you. You can leave it open in the background.';
  byId('empty-try').hidden = searching || past.size > 0;
  const approvals = [...world.approvals.values()].sort((a, b) => a.asked_at - b.asked_at);
  byId('approvals').hidden = approvals.length === 0;
  reconcile(byId('approval-rows'), approvals, approval => approval.id, approval => h('li', {}, approvalCard(approval, true)));
  count(all.filter(handoff => handoff.state !== 'held').length + approvals.length);
  retick();
}

/** @param {import('./store.js').World} world @param {import('./store.js').World} before */
function announce(world, before) {
  if (!before.known) return;
  for (const handoff of waitingList(world)) {
    if (before.handoffs.has(handoff.id) || handoff.state === 'held') continue;
    tell({ label: blocker(handoff.kind).label, words: handoff.instructions, href: `/sandboxes/${handoff.sandbox}`, id: handoff.id });
  }
  for (const approval of world.approvals.values()) {
    if (!before.approvals.has(approval.id)) tell({ label: 'Approval', words: approval.summary, href: `/sandboxes/${approval.sandbox}`, id: approval.id });
  }
}

async function loadPast() {
  try {
    const { handoffs } = await get('/handoffs?state=all');
    past = new Map(handoffs.filter((/** @type {any} */ one) => isFinal(one) && one.asked_by !== 'operator').map((/** @type {any} */ one) => [one.id, one]));
  } catch { /* the queue itself is what matters; it has its own word on the connection */ }
  drawPast();
  draw(store.state);
}

function drawPast() {
  const start = new Date(now() * 1000).setHours(0, 0, 0, 0) / 1000;
  const today = [...past.values()].filter(handoff => handoff.created_at >= start).sort((a, b) => b.created_at - a.created_at);
  byId('past').hidden = today.length === 0;
  const tally = Object.entries(Object.groupBy(today, handoff => handoff.state));
  const spent = today.filter(handoff => handoff.state === 'resolved').map(handoff => handoff.result?.duration_s ?? 0).sort((a, b) => a - b);
  const facts = tally.map(([state, list]) => [String(list?.length ?? 0), outcome(state).word.toLowerCase()]);
  if (spent.length) facts.push([inWords(spent[Math.floor(spent.length / 2)]), 'of work, typically']);
  byId('tally').replaceChildren(...facts.map(([figure, word]) => h('div', {}, h('dt', {}, word), h('dd.tabular', {}, figure))));
  reconcile(byId('past-rows'), today.slice(0, 20), handoff => handoff.id, pastRow);
}

/** @param {any} handoff */
function pastRow(handoff) {
  const { icon: name, word } = outcome(handoff.state);
  const by = handoff.result?.operator ? ` by ${handoff.result.operator}` : '';
  const note = handoff.result?.note ? ` · “${handoff.result.note}”` : '';
  return h('li', {}, h('div.row-link', { data: { outcome: handoff.state } }, icon(name),
    h('div.row-main', {}, h('div.row-ask', {}, handoff.instructions || blocker(handoff.kind).ask),
      h('div.row-foot', {}, `${word}${by} · ${short(handoff.site)}${note}`)),
    h('span.muted.small.tabular', {}, timeOfDay(handoff.created_at))));
}

/** @param {number} by */
function step(by) {
  const links = /** @type {HTMLElement[]} */ ([...rows.querySelectorAll('a.row-link')]);
  const at = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
}

settings();
showLink(store);
byId('insecure').replaceChildren(...[insecureNotice()].filter(notice => notice !== null));
search.addEventListener('input', () => draw(store.state));
search.addEventListener('keydown', event => { if (event.key === 'Escape') { search.value = ''; search.blur(); draw(store.state); } });
document.querySelectorAll('[data-filter]').forEach(button => button.addEventListener('click', () => {
  filter = /** @type {HTMLElement} */ (button).dataset.filter ?? 'all';
  document.querySelectorAll('[data-filter]').forEach(other => other.setAttribute('aria-pressed', String(other === button)));
  draw(store.state);
}));
const help = listenForKeys({
  j: { does: 'Next', act: () => step(1) },
  k: { does: 'Previous', act: () => step(-1) },
  '/': { does: 'Search', act: () => search.focus() },
}, [{ key: 'Enter', does: 'Open' }]);
byId('help').addEventListener('click', help);
byId('copy-command').addEventListener('click', () => navigator.clipboard?.writeText('make run').then(() => toast('Copied.', { name: 'check' }), () => {}));
store.subscribe((world, before) => {
  draw(world);
  announce(world, before);
  if (world.ended !== before.ended || (world.up && !before.up)) loadPast();
});
