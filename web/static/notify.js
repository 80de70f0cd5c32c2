// @ts-check
/** Telling an operator who looks elsewhere: a chime, a count in the title and the icon, a browser notification. */

/** @typedef {'chime' | 'badge' | 'notify'} Way */

/** @param {string} name @param {string} fallback */
function kept(name, fallback) {
  try { return localStorage.getItem(`baton.${name}`) ?? fallback; } catch { return fallback; }
}

/** @param {string} name @param {string} value */
export function keep(name, value) {
  try { localStorage.setItem(`baton.${name}`, value); } catch { /* storage may be off; it holds for this page */ }
}

/** @type {Record<Way, boolean>} */
const on = { chime: kept('chime', 'on') === 'on', badge: kept('badge', 'on') === 'on', notify: kept('notify', 'off') === 'on' };

/** @param {Way} way */
export const isOn = way => on[way];

const title = document.title;
let waiting = 0;

/**
 * Turn a way on or off. Returns why it could not be turned on, or "".
 * @param {Way} way
 * @param {boolean} wanted
 */
export async function turn(way, wanted) {
  let why = '';
  if (way === 'notify' && wanted) why = await mayNotify();
  on[way] = wanted && !why;
  keep(way, on[way] ? 'on' : 'off');
  if (way === 'badge') count(waiting);
  if (way === 'chime' && wanted) chime();
  return why;
}

async function mayNotify() {
  if (!isSecureContext || !('Notification' in window)) return 'Notifications need HTTPS. Use the chime, or open this console by https://.';
  if (Notification.permission === 'default') await Notification.requestPermission();
  return Notification.permission === 'granted' ? '' : 'This browser blocks notifications from here. Allow them in the site’s settings.';
}

/** How many wait: in the title and the icon. @param {number} n */
export function count(n) {
  waiting = n;
  const shown = on.badge && n > 0;
  document.title = shown ? `(${n}) ${title}` : title;
  document.querySelector('link[rel=icon]')?.setAttribute('href', shown ? '/static/icon-waiting.svg' : '/static/icon.svg');
}

/**
 * Somebody is needed.
 * @param {{label: string, words: string, href: string, id: string}} what
 */
export function tell({ label, words, href, id }) {
  if (on.chime) chime();
  if (!on.notify || !document.hidden || Notification.permission !== 'granted') return;
  const note = new Notification(`${label}: a human is needed`, { body: words.slice(0, 140), tag: id, icon: '/static/icon.svg' });
  note.onclick = () => {
    window.focus();
    location.assign(href);
  };
}

/** @type {AudioContext | null} */
let audio = null;

/** Two soft notes, a fifth apart. */
export function chime() {
  try {
    audio ??= new AudioContext();
    if (audio.state === 'suspended') audio.resume().catch(() => {});
    [[587.33, 0], [880, 0.14]].forEach(([hertz, after]) => note(/** @type {AudioContext} */ (audio), hertz, after));
  } catch { /* no sound here; the badge still tells */ }
}

/** @param {AudioContext} context @param {number} hertz @param {number} after */
function note(context, hertz, after) {
  const at = context.currentTime + after;
  const [tone, volume] = [context.createOscillator(), context.createGain()];
  tone.frequency.value = hertz;
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.12, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.7);
  tone.connect(volume).connect(context.destination);
  tone.start(at);
  tone.stop(at + 0.75);
}
