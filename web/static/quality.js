// @ts-check
/** The connection in one dot and a number; a press shows the last minute and plain words. */

import { h, svg } from './dom.js';
import { closeOutside } from './frame.js';

const KEPT = 60;
const GOOD_MS = 80;
const FAIR_MS = 200;

/** @type {Record<string, string>} */
const KINDS = { 'h264-444': 'Video in full colour', h264: 'Video', jpeg: 'Single images' };
/** @type {Record<string, string>} */
const WAYS = { socket: 'WebSocket', datagrams: 'WebRTC' };
/** @type {Record<string, string>} */
const MODES = { drive: 'All of it, at once', watch: 'Less, while you watch' };
/** @type {Record<string, string>} */
const SCENES = { still: 'Stands still', text: 'Text and forms change', scroll: 'Scrolls', film: 'Something moves all the time' };
/** @type {Record<string, string>} */
const NETWORKS = { near: 'Near', far: 'Far away', thin: 'Narrow: less is sent' };

/** @typedef {{rtt: number, fps: number, kbps: number, inputMs: number}} Point */

/** Shows the stream's statistics. */
export class Quality {
  #menu;
  /** @type {Point[]} */
  #history = [];
  /** @type {any} */
  #last = null;

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
    const { rtt, fps, kbps, inputMs } = stats;
    this.#history = [...this.#history.slice(1 - KEPT), { rtt, fps, kbps, inputMs }];
    const is = !rtt ? '' : rtt < GOOD_MS ? 'good' : rtt < FAIR_MS ? 'fair' : 'bad';
    this.#head(is, rtt ? `${Math.round(rtt)} ms` : '– ms');
    this.#draw();
  }

  lost() {
    this.#last = null;
    this.#head('', '– ms');
    this.#draw();
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
    const stats = this.#last;
    if (!stats) {
      sheet.replaceChildren(h('h2', {}, 'There is no connection at the moment.'));
      return;
    }
    const line = (/** @type {string} */ label, /** @type {string} */ value, /** @type {keyof Point} */ name) => spark(label, value, this.#history.map(one => one[name]));
    sheet.replaceChildren(
      h('h2', {}, sentence(stats)),
      h('div.sparks', {},
        line('Seen after you act', stats.inputMs ? `${Math.round(stats.inputMs)} ms` : '–', 'inputMs'),
        line('Round trip', stats.rtt ? `${Math.round(stats.rtt)} ms` : '–', 'rtt'),
        line('Pictures a second', String(stats.fps), 'fps'),
        line('kbit/s', String(stats.kbps), 'kbps')),
      h('dl.facts', {}, rows(stats).flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])));
  }
}

/**
 * What is known, in plain words.
 * @param {any} stats
 * @returns {[name: string, value: string][]}
 */
function rows({ decision, kind, way, viewers, masked }) {
  /** @type {[string, string | undefined | false][]} */
  const all = [
    ['What is sent', MODES[decision?.mode]],
    ['The page', SCENES[decision?.scene]],
    ['What moves', KINDS[kind] ?? 'No picture yet'],
    ['Way', WAYS[way] ?? way],
    ['The server is', NETWORKS[decision?.network]],
    ['Room for', decision?.rate_kbps > 0 && rate(decision.rate_kbps)],
    ['Watching', viewers > 1 && `${viewers} people`],
    ['Secrets', masked && 'are covered'],
  ];
  return all.filter(/** @type {(row: any) => row is [string, string]} */ (([, value]) => Boolean(value)));
}

/** @param {number} kbps */
function rate(kbps) {
  return kbps < 1000 ? `${Math.round(kbps)} kbit/s` : `${(kbps / 1000).toFixed(kbps < 10000 ? 1 : 0)} Mbit/s`;
}

/** @param {{rtt: number, fps: number}} stats */
function sentence({ rtt, fps }) {
  const way = !rtt ? 'The connection is being measured.' : rtt < GOOD_MS ? 'The connection is quick.' : rtt < FAIR_MS ? 'The connection is all right.' : 'The connection is slow; what you do shows late.';
  return fps ? way : `${way} Nothing changes in the page, so nothing is sent.`;
}

/** @param {string} label @param {string} value @param {number[]} points */
function spark(label, value, points) {
  const top = Math.max(1, ...points);
  const line = points.map((point, i) => `${KEPT - points.length + i},${(30 - (28 * point) / top).toFixed(1)}`).join(' ');
  return h('div.spark', {}, h('span.muted.small', {}, label), h('strong', {}, value),
    svg('svg', { viewBox: `0 0 ${KEPT - 1} 32`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, svg('polyline', { points: line })));
}
