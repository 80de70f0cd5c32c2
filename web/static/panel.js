// @ts-check
/** The panel beside the picture: the ask, what it waits for, and the quieter things one can do. */

import { approvalCard } from './approvals.js';
import { counting, countdown, inWords, now, ring, timeOfDay } from './clock.js';
import { byId, fill, h, icon } from './dom.js';
import { conditionList } from './dialogs.js';
import { insecureNotice, ME } from './frame.js';
import { secretEntry } from './secret.js';
import { lossOf, reservedFor } from './view.js';
import { blocker, outcome, SECRET_KINDS, short, sightInWords, unchecked } from './words.js';

/** @typedef {{giveUp: (verb: 'failed' | 'declined') => void, release: () => void, force: () => void, keep: () => void, screen: import('./stream/live.js').LiveScreen}} Acts */

const LEASE_LATE_S = 8;
const MAY_FORCE = document.body.dataset.force === 'yes';

/**
 * @param {{view: string, control: any, known: import('./view.js').Known, next: any, sandbox: any}} facts
 * @param {Acts} acts
 */
export function drawPanel({ view, control, known, next, sandbox }, acts) {
  const handoff = control?.handoff ?? null;
  const asked = handoff && handoff.asked_by !== 'operator' ? handoff : null;
  const driving = view === 'driving';
  fill(byId('p-status'), ...status({ view, control, known, next }, acts));
  fill(byId('p-ask'), ...(asked && view !== 'finished' ? ask(asked, driving) : []));
  const approvals = [...known.world.approvals.values()].filter(approval => approval.sandbox === control?.sandbox && view !== 'ended');
  fill(byId('p-approvals'), approvals.length > 0 && [h('h3', {}, 'Asking for approval'), ...approvals.map(approval => approvalCard(approval))]);
  fill(byId('p-sees'), ...sees(view, known.world.blockers.get(control?.sandbox) ?? []));
  const parts = asked ? known.world.conditions.get(asked.id) ?? unchecked(asked.condition) : [];
  fill(byId('p-conditions'), parts.length > 0 && view !== 'finished' && [h('h3', {}, 'The agent goes on when'), conditionList(parts)]);
  secret(driving, asked, acts);
  actions(driving, asked, known, acts);
  fill(byId('p-notes'), driving && exposure(handoff, acts), control?.trouble && h('div.notice.bad', {}, icon('warning'), h('p', {}, control.trouble)), insecureNotice(),
    known.reduced && isSecureContext && h('p.fine', {}, known.reduced));
  fill(byId('p-facts'), sandbox && facts(sandbox, known));
}

/** @type {Record<string, [title: string, words: string]>} */
const STATUS = {
  connecting: ['Connecting', 'The picture comes in a moment.'],
  watching: ['The agent is driving', 'You are watching. Take control to stop it and act yourself; it goes on when you are done.'],
  closing: ['Stopping the agent', 'What it had begun is finished first. This takes a moment.'],
  returning: ['Going back to the agent', 'What changed is written down for it.'],
  parked: ['Nobody has control', 'Whoever had it stopped answering. The agent stays stopped until someone takes over.'],
  down: ['The server does not answer', 'Nothing is lost: the agent stays stopped, and this page comes back by itself.'],
};

/** @param {{view: string, control: any, known: import('./view.js').Known, next: any}} facts @param {Acts} acts */
function status({ view, control, known, next }, acts) {
  if (view === 'finished') return thanks(known.finished, next);
  if (view === 'other') {
    const { name } = control.holder;
    return [h('h2', {}, `${name || 'Someone else'} has control since ${timeOfDay(control.since ?? now())}`), h('p.muted', {}, 'You are watching. Ask for control, and they can give it to you; if they leave, it comes back to the queue.'),
      MAY_FORCE && h('button.button.danger', { type: 'button', on: { click: acts.force } }, `Take it from ${name || 'them'}…`)];
  }
  if (view === 'lost') {
    const { what, keeps, until, holds } = lossOf(known, control, ME, now());
    return [h('h2', {}, what), keeps ? h('p.muted', {}, 'Trying again. You keep control for ', countdown(until), '.') : h('p.muted', {}, `Trying again. ${holds}`)];
  }
  if (view === 'driving' && control.handoff?.asked_by === 'operator') return [h('h2', {}, 'You have control'), h('p.muted', {}, 'The agent is stopped and sees nothing of what you do. Press Done to give control back.')];
  const reserved = reservedFor(control, now());
  if (view === 'parked' && reserved) {
    const mine = reserved.operator.id === ME;
    return [h('h2', {}, mine ? 'Kept for you' : `Kept for ${reserved.operator.name}`),
      h('p.muted', {}, mine ? 'Your connection was gone. Take control again within ' : 'Their connection is gone. The agent stays stopped; anyone may take over in ', countdown(reserved.until), '.')];
  }
  const [title, words] = STATUS[view] ?? [];
  return title ? [h('h2', {}, title), h('p.muted', {}, words)] : [];
}

/** @param {any} handoff @param {any} next */
function thanks(handoff, next) {
  const { result, state } = handoff;
  const took = result?.duration_s ? ` You had control for ${inWords(result.duration_s)}.` : '';
  const words = state === 'resolved' ? 'Thank you. Control is back with the agent.' : `${outcome(state).word}. Control is back with the agent.`;
  return [h('div.thanks', {}, icon('done', 'huge'), h('h2', {}, words), h('p.muted', {}, `It was told what changed.${took}`)),
    next && h('a.next', { href: `/sandboxes/${next.sandbox}` }, icon(blocker(next.kind).icon),
      h('div', {}, h('p.small.muted', {}, 'Next, waiting for ', counting(next.created_at)), h('p', {}, next.instructions || blocker(next.kind).ask)), icon('forward'))];
}

/** @param {any} handoff @param {boolean} driving */
function ask(handoff, driving) {
  const { icon: name, label, ask: words } = blocker(handoff.kind);
  return [
    h('div.ask-top', {}, h('span.badge', {}, icon(name, 'large')),
      h('div', {}, h('h2', {}, label), h('span.site', {}, short(handoff.site)))),
    h('p.ask-words', { tabindex: handoff.instructions.length > 400 ? '0' : null }, handoff.instructions || words),
    h('div.times', {},
      h('p', {}, h('span.label', {}, driving ? 'Asked ' : 'Waiting for '), h('strong', {}, driving ? timeOfDay(handoff.created_at) : counting(handoff.created_at))),
      h('div', {}, ring(handoff.created_at, handoff.deadline_at), h('p', {}, h('span.label', {}, 'Time left '), h('strong', {}, countdown(handoff.deadline_at)))))];
}

/** What detection saw on the pages. @param {string} view @param {any[]} pages */
function sees(view, pages) {
  const seen = pages.flatMap(page => page.findings).map(finding => ({ ...sightInWords(finding), why: finding.why }));
  if (seen.length === 0 || !['watching', 'waiting', 'parked', 'other', 'driving'].includes(view)) return [];
  return [h('h3', {}, 'Seen on the page'), h('ul.sights', {}, seen.map(({ icon: name, what, sure, why }) =>
    h('li', {}, icon(name), h('div', {}, h('span', {}, what), h('span.muted.small', {}, ` · ${sure}`), why && h('p.why', {}, why)))))];
}

/** @param {boolean} driving @param {any} asked @param {Acts} acts */
function secret(driving, asked, acts) {
  const place = byId('p-secret');
  const wanted = driving ? (asked && SECRET_KINDS.has(asked.kind) ? 'open' : 'closed') : '';
  if (place.dataset.shown === wanted) return;
  place.dataset.shown = wanted;
  const about = wanted === 'open' ? [h('p.fine', {}, 'Everything you type in this handoff is kept secret, also in the page itself.')] : [];
  place.replaceChildren(...(wanted ? [...about, secretEntry(acts.screen, wanted === 'open')] : []));
}

/** @param {boolean} driving @param {any} asked @param {import('./view.js').Known} known @param {Acts} acts */
function actions(driving, asked, known, acts) {
  const place = byId('p-actions');
  if (!driving) {
    place.replaceChildren();
    place.dataset.shown = '';
    return;
  }
  const wanted = asked ? asked.id : 'unasked';
  if (place.dataset.shown !== wanted) {
    place.dataset.shown = wanted;
    const button = (/** @type {string} */ kind, /** @type {string} */ label, /** @type {() => void} */ act) => h(`button.button.${kind}`, { type: 'button', on: { click: act } }, label);
    place.replaceChildren(
      ...(asked ? [h('div.field', {}, h('label', { for: 'note' }, 'Note to the agent, if it helps'), h('textarea.input', { id: 'note', rows: 2, maxlength: 4000 })),
        h('div.split', {}, button('danger', 'Failed', () => acts.giveUp('failed')), button('danger', 'Decline', () => acts.giveUp('declined')), button('quiet.span', 'Release to the queue', acts.release))]
        : [button('quiet', 'Release to the agent', acts.release)]),
      h('p.lease', { id: 'lease' }));
  }
  const until = known.lease?.expires_at ?? null;
  const late = until !== null && until - now() < LEASE_LATE_S;
  fill(byId('lease'), until !== null && ['You keep control for', countdown(until)], late && h('button.button.quiet', { type: 'button', on: { click: acts.keep } }, 'Keep control'));
}

/** @param {any} handoff @param {Acts} acts */
function exposure(handoff, acts) {
  return handoff?.exposure && h('div.notice.warn', {}, icon('warning'), h('div', {},
    h('p', {}, 'The agent has run code in this page. Reload it before you type a secret: its code could read along.'),
    h('button.button.quiet', { type: 'button', on: { click: () => acts.screen.tab('reload') } }, 'Reload the page')));
}

/** How long control lasts here. @param {import('./view.js').Known} known */
function limitRows(known) {
  const { limits } = known.world;
  if (!limits) return [];
  return [['Idle after', inWords(limits.idle_s)], ['At most', known.lease ? `until ${timeOfDay(known.lease.ends_at)}` : inWords(limits.ceiling_s)], ['Kept when lost', inWords(limits.lease_s + limits.grace_s)]];
}

/** @param {any} sandbox @param {import('./view.js').Known} known */
function facts(sandbox, known) {
  const tab = known.tabs.find(one => one.active);
  const rows = [['Sandbox', sandbox.name || sandbox.id], ['Page', tab ? short(tab.url) : ''], ['Open since', timeOfDay(sandbox.created_at)], ['Screen', `${sandbox.width} × ${sandbox.height}`], ...limitRows(known)];
  return [h('h3', {}, 'About'), h('dl.facts', {}, rows.filter(([, value]) => value).flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])),
    sandbox.isolation === 'advisory' && h('p.fine', {}, 'This browser shares a user account with others on the server’s machine.')];
}
