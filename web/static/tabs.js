// @ts-check
/** The remote browser's tabs, small, only when there is more than one; with back and reload. */

import { fill, h, icon } from './dom.js';
import { short } from './words.js';

/**
 * @param {HTMLElement} strip
 * @param {any[]} tabs
 * @param {boolean} driving
 * @param {import('./stream/live.js').LiveScreen} screen
 */
export function showTabs(strip, tabs, driving, screen) {
  strip.hidden = tabs.length < 2;
  if (strip.hidden) return;
  const button = (/** @type {string} */ name, /** @type {string} */ label, /** @type {() => void} */ act) =>
    h('button.button.bare.square', { type: 'button', 'aria-label': label, disabled: !driving, on: { click: act } }, icon(name));
  fill(strip,
    button('back', 'Back in the page', () => screen.tab('back')),
    button('reload', 'Load the page again', () => screen.tab('reload')),
    tabs.map(tab => h('div.tab', tab.active ? { data: { active: '' } } : {},
      h('button.button.bare', { type: 'button', disabled: !driving, title: tab.title || short(tab.url), 'aria-current': tab.active ? 'true' : null, on: { click: () => screen.tab('activate', tab.id) } },
        h('span', {}, tab.title || short(tab.url) || 'New tab')),
      button('close', `Close ${tab.title || 'this tab'}`, () => screen.tab('close', tab.id)))));
}
