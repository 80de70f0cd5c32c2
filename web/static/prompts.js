// @ts-check
/**
 * What the remote page asks outside its pixels: dialogs, file choosers, its own sign-in box. Shown as the console's,
 * at the picture, under the site's name, so that nobody answers the wrong one.
 */

import { h, icon, toast } from './dom.js';
import { short } from './words.js';

/** @type {Record<string, {says: string, yes: string, no: string | null}>} */
const WORDS = {
  alert: { says: 'says', yes: 'OK', no: null },
  confirm: { says: 'asks', yes: 'OK', no: 'Cancel' },
  prompt: { says: 'asks', yes: 'OK', no: 'Cancel' },
  beforeunload: { says: 'asks whether to leave the page', yes: 'Leave', no: 'Stay' },
  file: { says: 'wants a file', yes: 'Send', no: 'Cancel' },
  basic_auth: { says: 'wants a name and a password', yes: 'Sign in', no: 'Cancel' },
};

/** Shows one prompt at a time. */
export class Prompts {
  #place;
  #screen;
  #shown = '';
  #answered = new Set();

  /**
   * @param {HTMLElement} place
   * @param {import('./stream/live.js').LiveScreen} screen
   */
  constructor(place, screen) {
    this.#place = place;
    this.#screen = screen;
  }

  /** @param {any[]} prompts @param {boolean} driving only who drives may answer */
  show(prompts, driving) {
    const prompt = driving ? prompts.find(one => !this.#answered.has(one.id)) : undefined;
    if ((prompt?.id ?? '') === this.#shown) return;
    this.#shown = prompt?.id ?? '';
    this.#place.replaceChildren();
    if (prompt) this.#open(prompt);
  }

  /** @param {any} prompt */
  #open(prompt) {
    const words = WORDS[prompt.kind] ?? WORDS.confirm;
    const fields = fieldsOf(prompt);
    const site = short(prompt.origin) || 'The page';
    const no = words.no && h('button.button.quiet', { type: 'button', on: { click: () => this.#answer(prompt, { accept: false }) } }, words.no);
    const form = h('form', { on: { submit: (/** @type {Event} */ event) => { event.preventDefault(); this.#answer(prompt, { accept: true, ...fields.read() }); } } },
      prompt.message && h('p.message', {}, prompt.message), fields.nodes,
      h('div.buttons', {}, no, h('button.button.primary', { type: 'submit' }, words.yes)));
    const dialog = /** @type {HTMLDialogElement} */ (h('dialog.dialog.remote', { 'aria-label': `${site} ${words.says}` },
      h('div.from', {}, icon('globe'), h('div', {}, h('strong', {}, site), h('span.muted.small', {}, words.says))), form));
    dialog.addEventListener('keydown', event => { if (event.key === 'Escape' && words.no) this.#answer(prompt, { accept: false }); });
    this.#place.append(dialog);
    dialog.show();
    /** @type {HTMLElement | null} */ (form.querySelector('input, button[type=submit]'))?.focus();
  }

  /** @param {any} prompt @param {any} answer */
  async #answer(prompt, answer) {
    try {
      await this.#screen.answer(prompt.id, answer);
    } catch (error) {
      toast(/** @type {Error} */ (error).message, { name: 'warning' });
      return;
    }
    this.#answered.add(prompt.id);
    this.#place.replaceChildren();
    this.#screen.focus();
  }
}

/** @param {any} prompt @returns {{nodes: Node[], read: () => object}} */
function fieldsOf(prompt) {
  const field = (/** @type {string} */ id, /** @type {string} */ label, /** @type {object} */ attributes) => {
    const input = /** @type {HTMLInputElement} */ (h('input.input', { id, autocomplete: 'off', ...attributes }));
    return { input, node: h('div.field', {}, h('label', { for: id }, label), input) };
  };
  if (prompt.kind === 'prompt') {
    const { input, node } = field('remote-text', 'Your answer', { value: prompt.default });
    return { nodes: [node], read: () => ({ text: input.value }) };
  }
  if (prompt.kind === 'file') {
    const { input, node } = field('remote-files', prompt.multiple ? 'Files from your device' : 'A file from your device', { type: 'file', multiple: prompt.multiple, required: true });
    return { nodes: [node], read: () => ({ files: [...(input.files ?? [])] }) };
  }
  if (prompt.kind === 'basic_auth') {
    const [name, password] = [field('remote-name', 'Name', { spellcheck: 'false' }), field('remote-password', 'Password', { type: 'password', autocomplete: 'new-password' })];
    const realm = prompt.realm ? [h('p.fine', {}, `It calls this area “${prompt.realm}”.`)] : [];
    return { nodes: [...realm, name.node, password.node], read: () => ({ username: name.input.value, password: password.input.value }) };
  }
  return { nodes: [], read: () => ({}) };
}
