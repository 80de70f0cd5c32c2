// @ts-check
/**
 * The landing page of a one-use link. Its secret is in the fragment, which no server and no link preview sees; this
 * script posts it as soon as the page is shown, which a preview does not do. The button is there for when that fails.
 */

import { post } from './api.js';
import { byId, h, icon } from './dom.js';

const token = location.hash.slice(1).replace(/^token=/, '');
const button = /** @type {HTMLButtonElement} */ (byId('open'));

async function open() {
  button.disabled = true;
  button.textContent = 'Opening…';
  try {
    const { location: to } = await post('/links/redeem', { token });
    location.replace(to ?? '/');
  } catch (error) {
    refused(/** @type {import('./api.js').ApiError} */ (error));
  }
}

/** @param {import('./api.js').ApiError} error */
function refused(error) {
  if (error.status === 0 || error.status >= 500 || error.status === 429) {
    button.disabled = false;
    button.textContent = 'Try again';
    byId('say').querySelector('p')?.replaceChildren(error.message);
    return;
  }
  const expired = error.code === 'LinkExpired';
  const used = error.code === 'LinkUsed';
  history.replaceState(null, '', '/link');
  byId('say').replaceChildren(
    icon(expired ? 'hourglass' : 'warning', 'huge'),
    h('h1', {}, used ? 'This link was used before' : expired ? 'This link has expired' : 'This link does not work'),
    h('p', {}, used ? 'A link signs in once. If that was you, in this browser, you can go straight in.' : expired ? 'Links work for a limited time, so that an old message opens nothing.' : 'It may have been cut short on its way. Copy the whole of it, or ask for a new one.'),
    h('p', {}, 'Ask whoever sent it for a new one, or make one where Baton runs with ', h('code', {}, 'baton link'), '.'),
    h('a.button.quiet', { href: '/' }, 'Go to the queue'));
}

if (token) {
  button.addEventListener('click', open);
  if (document.visibilityState === 'visible') open();
  else document.addEventListener('visibilitychange', () => { if (!button.disabled) open(); }, { once: true });
} else {
  refused(Object.assign(new Error(''), { status: 404, kind: 'missing', code: 'LinkUnknown', parts: [] }));
}
