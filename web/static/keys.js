// @ts-check
/** Keys of the console itself: they work wherever nothing is typed into. `?` lists them. */

import { h } from './dom.js';
import { openDialog } from './dialogs.js';

/**
 * @param {Record<string, {does: string, act: (event: KeyboardEvent) => void}>} keys by `KeyboardEvent.key`
 * @param {{key: string, does: string}[]} [more] keys that are listed but handled elsewhere
 */
export function listenForKeys(keys, more = []) {
  const help = () => showKeys([...Object.entries(keys).map(([key, { does }]) => ({ key, does })), ...more]);
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector('dialog[open]')) return;
    const known = keys[event.key];
    if (event.key === '?') help();
    else if (known) known.act(event);
    else return;
    event.preventDefault();
  });
  return help;
}

/** @param {EventTarget | null} target */
function typing(target) {
  return target instanceof HTMLElement && target.matches('input:not([type=checkbox]), textarea, select, [contenteditable]');
}

/** @param {{key: string, does: string}[]} list */
function showKeys(list) {
  const shown = [...list, { key: '?', does: 'Show this list' }];
  openDialog(close => [
    h('h2', {}, 'Keys'),
    h('dl.keys', {}, shown.flatMap(({ key, does }) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, does)])),
    h('div.buttons', {}, h('button.button.quiet', { type: 'button', on: { click: close } }, 'Close')),
  ], 'Keys');
}
