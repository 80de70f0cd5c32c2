// @ts-check
/** The connection in one dot and a number; a press shows the last minute and plain words. */

import { h, svg } from './dom.js';
import { closeOutside } from './frame.js';

const KEPT = 60;
const GOOD_MS = 80;
const FAIR_MS = 200;

/** @type {Record<string, string>} */
const KINDS = { 'h264-444': 'Video in full colour', h264: 'Video', jpeg: 'Single images' };

/** Shows the stream's statistics. */
export class Quality {
  #menu;
  /** @type {{rtt: number, fps: number, kbps: number}[]} */
  #history = [];
  #last = { rtt: 0, fps: 0, kbps: 0, kind: '', viewers: 0, masked: false };

  /** @param {HTMLDetailsElement} menu */
  constructor(menu) {
    this.#menu = menu;
    closeOutside(menu);
    menu.addEventListener('toggle', () => this.#draw());
    this.lost();
  }

  /** @param {any} stats */
  show(stats) {
    this.#last = stats;
    this.#history = [...this.#history.slice(1 - KEPT), { rtt: stats.rtt, fps: stats.fps, kbps: stats.kbps }];
    const is = !stats.rtt ? '' : stats.rtt < GOOD_MS ? 'good' : stats.rtt < FAIR_MS ? 'fair' : 'bad';
    this.#head(is, stats.rtt ? `${Math.round(stats.rtt)} ms` : '– ms');
    this.#draw();
  }

  lost() {
    this.#head('', '– ms');
  }

  /** @param {string} is @param {string} text */
  #head(is, text) {
    const [dot, number] = [this.#menu.querySelector('.dot'), this.#menu.querySelector('.number')];
    if (dot instanceof HTMLElement) dot.dataset.is = is;
    if (number) number.textContent = text;
  }

  #draw() {
    const sheet = this.#menu.querySelector('.sheet');
    if (!this.#menu.open || !sheet) return;
    const { rtt, fps, kbps, kind, viewers, masked } = this.#last;
    sheet.replaceChildren(
      spark('Round trip', `${Math.round(rtt)} ms`, this.#history.map(one => one.rtt)),
      spark('Pictures a second', String(fps), this.#history.map(one => one.fps)),
      spark('kbit/s', String(kbps), this.#history.map(one => one.kbps)),
      h('p.fine', {}, sentence(rtt, fps)),
      h('p.fine', {}, [`${KINDS[kind] ?? 'No picture yet'}, over a WebSocket.`, viewers > 1 ? `${viewers} people watch.` : '', masked ? 'Secrets are covered.' : ''].join(' ')));
  }
}

/** @param {number} rtt @param {number} fps */
function sentence(rtt, fps) {
  const way = rtt < GOOD_MS ? 'The connection is quick.' : rtt < FAIR_MS ? 'The connection is all right.' : 'The connection is slow; what you do shows late.';
  return fps ? way : `${way} Nothing moves in the page, so nothing is sent.`;
}

/** @param {string} label @param {string} value @param {number[]} points */
function spark(label, value, points) {
  const top = Math.max(1, ...points);
  const line = points.map((point, i) => `${KEPT - points.length + i},${(30 - (28 * point) / top).toFixed(1)}`).join(' ');
  return h('div.spark', {}, h('span.muted.small', {}, label), h('strong', {}, value),
    svg('svg', { viewBox: `0 0 ${KEPT - 1} 32`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, svg('polyline', { points: line })));
}
