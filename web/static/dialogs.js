// @ts-check
/** The console's own questions: give up with a reason, finish although something is missing. */

import { inWords } from './clock.js';
import { h, icon } from './dom.js';
import { conditionInWords } from './words.js';

/**
 * Open a modal dialog; it is removed when it closes.
 * @param {(close: () => void) => (Node | false | null)[]} content
 * @param {string} label
 * @returns {HTMLDialogElement}
 */
export function openDialog(content, label) {
  const dialog = /** @type {HTMLDialogElement} */ (h('dialog.dialog', { 'aria-label': label }));
  const close = () => dialog.close();
  dialog.append(h('div.inside', {}, ...content(close)));
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', event => { if (event.target === dialog) close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask for a reason in words.
 * @param {{title: string, words: string, label: string, choices?: string[], yes: string, danger?: boolean, no?: string, extra?: Node | null, needed?: boolean}} options
 * @returns {Promise<string | null>} the reason, or null when it was not meant
 */
export function askReason({ title, words, label, choices = [], yes, danger = false, no = 'Go back', extra = null, needed = true }) {
  return new Promise(resolve => {
    /** @type {string | null} */
    let answer = null;
    const field = /** @type {HTMLTextAreaElement} */ (h('textarea.input', { id: 'reason', maxlength: 4000, required: needed, rows: 2 }));
    const go = /** @type {HTMLButtonElement} */ (h(`button.button.${danger ? 'danger' : 'quiet'}`, { type: 'submit' }, yes));
    const ready = () => { go.disabled = needed && !field.value.trim(); };
    field.addEventListener('input', ready);
    const choose = (/** @type {string} */ text) => h('button.button', { type: 'button', on: { click: () => { field.value = text; ready(); go.focus(); } } }, text);
    const dialog = openDialog(close => {
      const form = h('form', { method: 'dialog', on: { submit: () => { answer = field.value.trim(); } } },
        h('h2', {}, title), h('p.muted', {}, words), extra,
        choices.length > 0 && h('div.choices', {}, choices.map(choose)),
        h('div.field', {}, h('label', { for: 'reason' }, label), field),
        h('div.buttons', {}, h('button.button.primary', { type: 'button', on: { click: close } }, no), go));
      return [form];
    }, title);
    dialog.querySelector('.inside')?.classList.remove('inside');
    dialog.addEventListener('close', () => resolve(answer));
    ready();
  });
}

/** @param {'failed' | 'declined'} verb */
export function askGiveUp(verb) {
  return verb === 'failed'
    ? askReason({
      title: 'You could not solve it?', words: 'The agent gets control back and is told why.', label: 'What went wrong',
      choices: ['The page does not accept the answer', 'I do not have what it asks for', 'The page does not load'],
      yes: 'Tell the agent it failed', danger: true,
    })
    : askReason({
      title: 'Decline this request?', words: 'The agent gets control back and must go on without it.', label: 'Why',
      choices: ['I am not allowed to do this', 'This does not look right', 'The agent should not be here'],
      yes: 'Decline', danger: true,
    });
}

/** @param {import('./store.js').Limits | null} limits */
export function askExtension(limits) {
  return askReason({
    title: 'Do you need longer?', words: `Once, you get ${inWords(limits?.extension_s ?? 1800)} more. Your reason is written down.`, label: 'What for',
    choices: ['The site is slow', 'I wait for a code', 'There are several steps'], yes: 'Give me longer',
  });
}

/**
 * Whether control is really to be taken from another operator.
 * @param {string | null} name
 * @returns {Promise<boolean>}
 */
export function confirmForce(name) {
  return new Promise(resolve => {
    let meant = false;
    const title = `Take control from ${name ?? 'them'}?`;
    openDialog(close => [h('h2', {}, title),
      h('p.muted', {}, 'They lose it at once, in the middle of what they do, and are told that it was you.'),
      h('div.buttons', {}, h('button.button.primary', { type: 'button', on: { click: close } }, 'Go back'),
        h('button.button.danger', { type: 'button', on: { click: () => { meant = true; close(); } } }, 'Take control'))], title)
      .addEventListener('close', () => resolve(meant));
  });
}

/**
 * What the agent waits for does not hold yet.
 * @param {{condition: any, met: boolean, why: string}[]} parts
 */
export function askOverride(parts) {
  return askReason({
    title: 'Something is still missing', words: 'The agent waits for this:', label: 'Finish anyway, because',
    extra: conditionList(parts), yes: 'Finish anyway', no: 'Go on working',
  });
}

/** @param {{condition: any, met: boolean, why: string}[]} parts */
export function conditionList(parts) {
  return h('ul.conditions', {}, parts.map(part => h('li', { data: { met: String(part.met) } },
    icon(part.met ? 'done' : 'open'),
    h('div', {}, h('span', {}, h('span.visually-hidden', {}, part.met ? 'Holds: ' : 'Missing: '), conditionInWords(part.condition)),
      !part.met && part.why && h('p.why', {}, part.why.charAt(0).toUpperCase() + part.why.slice(1))))));
}
