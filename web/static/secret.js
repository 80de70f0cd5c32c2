// @ts-check
/** Secret entry: typed here, put into the field that has the focus in the page, never kept. */

import { h, icon, toast } from './dom.js';

/**
 * @param {import('./stream/live.js').LiveScreen} screen
 * @param {boolean} open shown at once, for handoffs that are about a secret
 */
export function secretEntry(screen, open) {
  const field = /** @type {HTMLInputElement} */ (h('input.input', { id: 'secret', type: 'password', autocomplete: 'new-password', spellcheck: 'false' }));
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!field.value) return;
    screen.sendText(field.value, { secret: true });
    field.value = '';
    toast('Put into the page. Nothing of it is kept.', { name: 'lock' });
  };
  return h('details', { open },
    h('summary.label', {}, 'Secret entry'),
    h('form', { on: { submit: send } },
      h('p.fine', {}, 'Click the field in the page first. What you type here goes only there: it is not stored, not recorded, and nobody else sees it.'),
      h('div.secret-row', {},
        h('div.with-icon', {}, icon('lock'), h('label.visually-hidden', { for: 'secret' }, 'Secret'), field),
        h('button.button.quiet', { type: 'submit' }, 'Type it in'))));
}
