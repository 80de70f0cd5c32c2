// @ts-check
/** The buttons for the page's sound: off until it is pressed, and saying why when there is none. */

import { toast } from './dom.js';

/** @type {Record<string, {label: string, icon: string}>} */
const STATES = {
  off: { label: 'Turn on the page’s sound', icon: 'sound-off' },
  asked: { label: 'Turn off the page’s sound', icon: 'sound' },
  on: { label: 'Turn off the page’s sound', icon: 'sound' },
  none: { label: 'Turn on the page’s sound', icon: 'sound-off' },
};

/**
 * @param {HTMLElement[]} buttons in the bar, and within the thumb's reach
 * @param {import('./stream/live.js').LiveScreen} screen
 */
export function soundButtons(buttons, screen) {
  let state = 'off';
  const become = (/** @type {string} */ next, why = '') => {
    state = next;
    const { label, icon: name } = STATES[state];
    for (const button of buttons) {
      button.dataset.state = state;
      button.setAttribute('aria-label', label);
      button.title = why || label;
      button.querySelector('use')?.setAttribute('href', `#i-${name}`);
    }
  };
  screen.addEventListener('sound', event => {
    const { state: next, why } = /** @type {CustomEvent} */ (event).detail;
    become(next, why);
    if (why) toast(why, { name: 'sound-off', ms: 8000 });
  });
  for (const button of buttons) {
    // the keyboard stays with the page
    button.addEventListener('pointerdown', event => event.preventDefault());
    button.addEventListener('click', () => {
      const on = state === 'off' || state === 'none';
      become(on ? 'asked' : 'off');
      screen.sound(on);
    });
  }
  become('off');
}
