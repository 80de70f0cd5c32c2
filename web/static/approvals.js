// @ts-check
/** One action of an agent that waits for an operator's word: shown as it is, allowed once or declined. */

import { post } from './api.js';
import { countdown, ring } from './clock.js';
import { askReason } from './dialogs.js';
import { h, icon, toast } from './dom.js';
import { short } from './words.js';

/**
 * @param {any} approval
 * @param {boolean} [linked] whether to link to its sandbox
 */
export function approvalCard(approval, linked = false) {
  const site = short(approval.url || '');
  const where = approval.title ? `${approval.title} · ${site}` : site;
  const act = (/** @type {string} */ kind, /** @type {string} */ label, /** @type {() => void} */ click) => h(`button.button.${kind}`, { type: 'button', on: { click } }, label);
  return h('article.approval', { 'aria-label': `Approval: ${approval.summary}` },
    h('div.approval-what', {}, h('span.badge', {}, icon('approval', 'large')),
      h('div', {}, h('p.approval-summary', {}, approval.summary), approval.reason && h('p', {}, `The agent says: “${approval.reason}”`),
        h('p.muted.small', {}, linked ? h('a', { href: `/sandboxes/${approval.sandbox}` }, where || 'Look at the page') : where))),
    h('div.approval-acts', {}, ring(approval.asked_at, approval.deadline_at), h('span.visually-hidden', {}, 'time left '), countdown(approval.deadline_at),
      act('danger', 'Decline', () => decline(approval)), act('quiet', 'Allow once', () => decide(approval, 'approve', ''))));
}

/** @param {any} approval */
async function decline(approval) {
  const note = await askReason({
    title: 'Decline this action?', words: approval.summary, label: 'Why, if it helps the agent', needed: false,
    choices: ['I am not allowed to do this', 'This does not look right'], yes: 'Decline', danger: true,
  });
  if (note !== null) await decide(approval, 'decline', note);
}

/** @param {any} approval @param {'approve' | 'decline'} verb @param {string} note */
async function decide(approval, verb, note) {
  try {
    await post(`/approvals/${encodeURIComponent(approval.id)}/${verb}`, { note });
    toast(verb === 'approve' ? 'Allowed, once, on the page as it is.' : 'Declined. The agent is told.', { name: verb === 'approve' ? 'done' : 'close' });
  } catch (error) {
    toast(/** @type {Error} */ (error).message, { name: 'warning', ms: 8000 });
  }
}
