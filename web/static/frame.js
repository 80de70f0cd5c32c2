// @ts-check
/** What every page with a top bar shares: settings, connection to the server, sign-out, the insecure-origin notice. */

import { call, post } from './api.js';
import { setClock } from './clock.js';
import { byId, h, icon, toast } from './dom.js';
import { Events } from './events.js';
import { isOn, keep, turn } from './notify.js';
import { fold, NOTHING, Store } from './store.js';

/** The signed-in operator's id. */
export const ME = document.body.dataset.me ?? '';

/**
 * Follow the server. Returns the page's store of the world, and the socket.
 * @returns {{store: Store<import('./store.js').World>, events: Events}}
 */
export function follow() {
  const store = new Store(NOTHING);
  const events = new Events();
  events.addEventListener('message', event => {
    const message = /** @type {CustomEvent} */ (event).detail;
    if (typeof message.now === 'number') setClock(message.now);
    store.update(fold(store.state, message));
  });
  events.addEventListener('down', event => {
    store.update({ up: false });
    if (/** @type {CustomEvent} */ (event).detail.signedOut) location.assign('/');
  });
  events.connect();
  return { store, events };
}

/** Show in the top bar whether news arrives. @param {Store<import('./store.js').World>} store */
export function showLink(store) {
  const box = byId('link-state');
  store.subscribe(({ known, up }) => {
    const word = up ? 'Live' : known ? 'Connection lost, trying again' : 'Connecting';
    box.replaceChildren(h('span.dot', { data: { is: up ? 'good' : known ? 'bad' : 'fair' } }), h('span', {}, word));
  });
}

/** Make the settings menu work. */
export function settings() {
  const menu = /** @type {HTMLDetailsElement} */ (byId('settings'));
  closeOutside(menu);
  for (const way of /** @type {const} */ (['chime', 'badge', 'notify'])) {
    const box = /** @type {HTMLInputElement} */ (byId(`set-${way}`));
    box.checked = isOn(way);
    box.addEventListener('change', async () => {
      const why = await turn(way, box.checked);
      if (!why) return;
      box.checked = false;
      Object.assign(byId('notify-why'), { textContent: why, hidden: false });
    });
  }
  themes();
  const name = /** @type {HTMLInputElement} */ (byId('my-name'));
  name.addEventListener('change', () => rename(name));
  byId('sign-out').addEventListener('click', async () => {
    try {
      await post('/sign-out');
      location.assign('/signed-out');
    } catch (error) {
      toast(String(/** @type {Error} */ (error).message), { name: 'warning' });
    }
  });
}

/** @param {HTMLInputElement} field */
async function rename(field) {
  if (!field.value.trim()) return;
  try {
    await call('PATCH', '/me', { name: field.value.trim() });
    toast('Others now see you by this name.', { name: 'check' });
  } catch (error) {
    toast(String(/** @type {Error} */ (error).message), { name: 'warning' });
  }
}

function themes() {
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll('[data-set-theme]'));
  const root = document.documentElement;
  const show = () => buttons.forEach(b => b.setAttribute('aria-pressed', String((root.dataset.theme ?? 'auto') === b.dataset.setTheme)));
  buttons.forEach(button => button.addEventListener('click', () => {
    const theme = button.dataset.setTheme ?? 'auto';
    if (theme === 'auto') delete root.dataset.theme;
    else root.dataset.theme = theme;
    keep('theme', theme);
    show();
  }));
  show();
}

/** A menu closes by a press elsewhere or Esc. @param {HTMLDetailsElement} menu */
export function closeOutside(menu) {
  document.addEventListener('pointerdown', event => { if (!menu.contains(/** @type {Node} */ (event.target))) menu.open = false; });
  menu.addEventListener('keydown', event => {
    if (event.key !== 'Escape' || !menu.open) return;
    menu.open = false;
    menu.querySelector('summary')?.focus();
    event.stopPropagation();
  });
}

/** What is off on an insecure origin, and how to turn it on; null where nothing is off. */
export function insecureNotice() {
  if (isSecureContext) return null;
  return h('div.notice.warn', {}, icon('warning'), h('div', {},
    h('strong', {}, 'This address is not secure, so your browser turns some things off.'),
    h('p', {}, 'What moves comes as single images instead of video; the clipboard and notifications do not work. What you type can be read on the way.'),
    h('p', {}, 'To turn them on, start Baton with ', h('code', {}, '--tls-cert'), ' and ', h('code', {}, '--tls-key'), ', or come through an SSH tunnel: ', h('code', {}, `ssh -L ${location.port || '80'}:127.0.0.1:${location.port || '80'} ${location.hostname}`))));
}
