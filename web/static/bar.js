// @ts-check
/** The bar over the picture, the one primary action, and what lies over the picture when there is none. */

import { byId, fill, h, icon } from './dom.js';
import { countdown, now, timeOfDay } from './clock.js';
import { ME } from './frame.js';
import { lossOf, reservedFor } from './view.js';
import { short } from './words.js';

/**
 * @param {{view: string, mark: {who: string, icon: string, word: string}, control: any, known: import('./view.js').Known}} facts
 */
export function drawBar({ view, mark, control, known }) {
  const { body } = document;
  Object.assign(body.dataset, { view, holder: mark.who });
  const holder = byId('holder');
  holder.dataset.holder = mark.who;
  const held = view === 'driving' || view === 'other';
  fill(holder, icon(mark.icon), h('span.word', {}, mark.word), h('span.since.tabular', {}, held && control?.since ? `since ${timeOfDay(control.since)}` : ''));
  const tab = known.tabs.find(one => one.active);
  const handoff = control?.handoff;
  const site = short(siteOf(tab?.url) || handoff?.site || '') || 'Live view';
  byId('site').textContent = site;
  byId('page-title').textContent = tab?.title || handoff?.title || '';
  byId('screen').setAttribute('aria-label', `Live picture of ${site}`);
  document.title = `${mark.word} · ${site} · Baton`;
  const say = byId('announce');
  if (say.textContent !== mark.word) say.textContent = mark.word;
  for (const id of ['capture', 'thumb-keys']) {
    byId(id).hidden = view !== 'driving';
    byId(id).setAttribute('aria-pressed', String(known.capturing));
  }
}

/** @param {string | undefined} url */
function siteOf(url) {
  try { return url ? new URL(url).origin.replace('null', '') : ''; } catch { return ''; }
}

/** @type {Record<string, string>} */
const BUSY = { request: 'Asking…', give: 'Giving control…', taking: 'Taking control…', done: 'Giving control back…', failed: 'Giving control back…', declined: 'Giving control back…', release: 'Giving control back…' };

/**
 * One primary action for each state.
 * @param {{view: string, control: any, known: import('./view.js').Known, next: any}} facts
 * @param {{take: () => void, done: () => void, request: () => void, retry: () => void}} acts
 */
export function drawAction({ view, control, known, next }, acts) {
  const place = byId('actions');
  const had = place.contains(document.activeElement);
  const button = (/** @type {string} */ label, /** @type {() => void} */ act) => h('button.button.primary', { type: 'button', id: 'primary', on: { click: act } }, label);
  const waits = (/** @type {string} */ label) => h('button.button.primary', { type: 'button', disabled: true }, label);
  /** @type {Record<string, () => Node>} */
  const primary = {
    watching: () => button('Take control', acts.take),
    waiting: () => button('Take control', acts.take),
    parked: () => {
      const reserved = reservedFor(control, now());
      return reserved && reserved.operator.id !== ME ? waits(`Kept for ${reserved.operator.name}`) : button('Take control', acts.take);
    },
    other: () => (control?.requests ?? []).some((/** @type {any} */ one) => one.operator.id === ME) ? waits('You have asked') : button('Ask for control', acts.request),
    driving: () => button('Done', acts.done),
    closing: () => waits('Stopping the agent…'),
    returning: () => waits('Giving control back…'),
    finished: () => h('a.button.primary', { id: 'primary', href: next ? `/sandboxes/${next.sandbox}` : '/' }, next ? 'Next handoff' : 'Back to the queue'),
    ended: () => h('a.button.primary', { id: 'primary', href: '/' }, 'Back to the queue'),
  };
  const changed = fill(place, known.busy in BUSY ? waits(BUSY[known.busy]) : primary[view]?.());
  if (changed && had) document.getElementById('primary')?.focus();
  return changed;
}

/**
 * Only where there is no live picture.
 * @param {{view: string, control: any, known: import('./view.js').Known, ended: any}} facts
 * @param {{retry: () => void}} acts
 */
export function drawVeil({ view, control, known, ended }, acts) {
  const again = () => h('button.button.quiet', { type: 'button', on: { click: acts.retry } }, 'Try now');
  /** @type {Record<string, () => (Node | null)[]>} */
  const content = {
    lost: () => {
      const { icon: name, what, words, keeps, until, holds } = lossOf(known, control, ME, now());
      return [icon(name, 'huge'), h('h2', {}, `${what}, trying again`), h('p', {}, words),
        keeps ? h('p', {}, 'You keep control for ', countdown(until), '. Nothing you type now arrives.') : h('p', {}, `${holds} This is the last picture.`), again()];
    },
    down: () => [icon('server', 'huge'), h('h2', {}, 'The server does not answer'), h('p', {}, 'The agent stays stopped, and nothing is lost. This page comes back by itself.'), again()],
    ended: () => [icon('done', 'huge'), h('h2', {}, 'This sandbox has ended'), h('p', {}, ended?.result?.note ? sentence(ended.result.note) : 'Its browser is closed. What was found is with the agent.')],
  };
  const made = content[view]?.();
  const veil = byId('veil');
  veil.hidden = !made;
  fill(veil, made && h('div', {}, made));
}

/** @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
