// @ts-check
/** The line over the picture for what cannot wait: somebody asks for control, or the holder's time runs out. */

import { countdown, now, timeOfDay } from './clock.js';
import { byId, fill, h, icon } from './dom.js';
import { urgent } from './view.js';

/**
 * @typedef {object} Acts
 * @property {() => void} stay
 * @property {() => void} extend
 * @property {(operator: {id: string, name: string}) => void} give
 * @property {(operator: {id: string, name: string}) => void} deny
 */

/**
 * @param {{view: string, control: any, known: import('./view.js').Known}} facts
 * @param {Acts} acts
 */
export function drawStrip({ view, control, known }, acts) {
  const place = byId('strip');
  const what = urgent(view, control, known, now());
  const had = place.contains(document.activeElement);
  place.hidden = !what;
  place.dataset.urgent = what?.kind ?? '';
  const changed = fill(place, ...(what ? LINES[what.kind](what, acts) : []));
  if (changed && had) /** @type {HTMLElement | null} */ (place.querySelector('button') ?? document.getElementById('primary'))?.focus();
}

const button = (/** @type {string} */ kind, /** @type {string} */ label, /** @type {() => void} */ act) => h(`button.button.${kind}`, { type: 'button', on: { click: act } }, label);

/** @type {Record<string, (what: any, acts: Acts) => (Node | false)[]>} */
const LINES = {
  idle: ({ until, asked }, acts) => [icon('hourglass'),
    h('p', {}, h('strong', {}, 'Are you still there? '), asked ? 'Without a move from you it goes back to the queue in ' : 'Without a move from you the agent goes on in ', countdown(until)),
    button('primary', 'I’m here', acts.stay)],
  ceiling: ({ until, extended, asked }, acts) => [icon('hourglass'),
    h('p', {}, h('strong', {}, 'Your time is nearly up. '), asked ? 'It goes back to the queue in ' : 'The agent goes on in ', countdown(until)),
    !extended && button('quiet', 'I need longer', acts.extend)],
  asks: ({ request: { operator, note, at }, others }, acts) => [icon('other'),
    h('p', {}, h('strong', {}, `${operator.name} asks for control`), note ? `: “${note}”` : ` since ${timeOfDay(at)}`, others > 0 && ` · ${others} more`),
    h('div.pair', {}, button('quiet', 'Not now', () => acts.deny(operator)), button('quiet', `Give it to ${operator.name}`, () => acts.give(operator)))],
};
