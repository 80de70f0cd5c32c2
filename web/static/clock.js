// @ts-check
/**
 * Time as the server counts it, and everything on the page that ticks: ages, countdowns, deadline rings.
 * Elements say what they show by their data, and one timer moves them all.
 */

import { svg } from './dom.js';

let offset = 0;

/** Seconds since 1970 on the server's clock. */
export function now() {
  return Date.now() / 1000 + offset;
}

/** @param {number} serverNow what the server just said */
export function setClock(serverNow) {
  offset = serverNow - Date.now() / 1000;
}

/** 75 → "1:15". @param {number} seconds */
export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), String(s % 60).padStart(2, '0')];
  if (s >= 86400) return `${Math.floor(s / 86400)} d`;
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** 75 → "1 minute": for what is read aloud or in a sentence. @param {number} seconds */
export function inWords(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const of = (/** @type {number} */ n, /** @type {string} */ unit) => `${n} ${unit}${n === 1 ? '' : 's'}`;
  if (s < 60) return of(s, 'second');
  if (s < 3600) return of(Math.round(s / 60), 'minute');
  return of(Math.round(s / 3600), 'hour');
}

/** The time of day. @param {number} at */
export function timeOfDay(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
}

/** An element that counts up since `at`. @param {number} at */
export function counting(at) {
  const element = document.createElement('time');
  element.className = 'tabular';
  element.dataset.since = String(at);
  return element;
}

/** An element that counts down to `at`. @param {number} at */
export function countdown(at) {
  const element = document.createElement('time');
  element.className = 'tabular';
  element.dataset.until = String(at);
  return element;
}

const ROUND = 2 * Math.PI * 11;

/** A ring that empties from `from` until `until`. @param {number} from @param {number} until */
export function ring(from, until) {
  const round = { cx: 14, cy: 14, r: 11 };
  return svg('svg', { class: 'ring', viewBox: '0 0 28 28', 'aria-hidden': 'true', 'data-from': from, 'data-until': until },
    svg('circle', { class: 'track', ...round }), svg('circle', { class: 'left', ...round, 'stroke-dasharray': ROUND }));
}

const LATE_S = 30;

function tick() {
  const at = now();
  for (const element of document.querySelectorAll('time[data-since], time[data-until]')) {
    const { since, until } = /** @type {HTMLElement} */ (element).dataset;
    const text = clock(since ? at - Number(since) : Number(until) - at);
    if (element.textContent !== text) element.textContent = text;
  }
  for (const element of document.querySelectorAll('svg.ring')) {
    const { from, until } = /** @type {SVGElement} */ (element).dataset;
    const left = Math.max(0, Number(until) - at);
    const share = Math.min(1, left / Math.max(1, Number(until) - Number(from)));
    element.classList.toggle('late', left < LATE_S);
    element.querySelector('.left')?.setAttribute('stroke-dashoffset', String(ROUND * (1 - share)));
  }
}

/** Show the right time at once, after something that ticks was added. */
export const retick = tick;

setInterval(tick, 500);
