// @ts-check
/** Every open sandbox, and who has control of it. */

import { counting, retick } from './clock.js';
import { byId, h, icon, reconcile } from './dom.js';
import { follow, ME, settings, showLink } from './frame.js';
import { count } from './notify.js';
import { holding, sightInWords } from './words.js';

const { store } = follow();

/** @param {any} sandbox @param {any} control @param {any[]} pages */
function row(sandbox, control, pages) {
  const sights = [...new Map(pages.flatMap(page => page.findings).map(finding => [finding.kind, sightInWords(finding)])).values()];
  const held = holding(control?.holder ?? sandbox.holder, ME);
  const picture = h('img', { src: `/v1/sandboxes/${sandbox.id}/thumbnail.jpg?width=320`, alt: '', loading: 'lazy', on: { error: (/** @type {Event} */ e) => { /** @type {HTMLElement} */ (e.target).hidden = true; } } });
  return h('li', {}, h('a.row-link', { href: `/sandboxes/${sandbox.id}` },
    h('div.thumb', {}, icon('window', 'large'), picture),
    h('div.row-main', {}, h('div.row-ask', {}, sandbox.name || sandbox.id),
      sights.length > 0 && h('div.row-top', {}, sights.map(({ icon: name, what }) => h('span.tag', {}, icon(name), what))),
      h('div.row-foot', {}, `${sandbox.width} × ${sandbox.height}${sandbox.isolation === 'advisory' ? ' · shares a user with others on this machine' : ''}`)),
    h('span.row-who', {}, h('span.holder', { data: { holder: held.who } }, icon(held.who), held.word)),
    h('span.row-age', {}, h('span.visually-hidden', {}, 'open for '), counting(sandbox.created_at))));
}

settings();
showLink(store);
store.subscribe(world => {
  if (!world.known) return;
  const list = [...world.sandboxes.values()].sort((a, b) => a.created_at - b.created_at);
  const rows = byId('rows');
  reconcile(rows, list, sandbox => sandbox.id, sandbox => row(sandbox, world.control.get(sandbox.id), world.blockers.get(sandbox.id) ?? []));
  rows.ariaBusy = 'false';
  rows.hidden = list.length === 0;
  byId('empty').hidden = list.length > 0;
  count([...world.handoffs.values()].filter(handoff => handoff.state !== 'held' && handoff.asked_by !== 'operator').length);
  retick();
});
