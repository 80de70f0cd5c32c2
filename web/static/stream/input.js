// @ts-check
/**
 * The operator's hands on the canvas: pointer, wheel and fingers here, keys in `keyboard.js`, gestures in `touch.js`.
 * Nothing is sent unless `drive` was given an epoch.
 */

import { Fingers } from './touch.js';
import { Keyboard } from './keyboard.js';

const MOVE_MS = 6;
const LINE_PX = 100 / 3;
const NOTCH_PX = 100;
const SANDBOX_NOTCH_PX = 120;
/** @type {[number, string][]} PointerEvent.buttons, W3C Pointer Events */
const BUTTONS = [[1, 'left'], [2, 'right'], [4, 'middle'], [8, 'back'], [16, 'forward']];

/** Turns events on one canvas into messages of `/stream`. */
export class Input {
  #canvas;
  #send;
  #keyboard;
  #fingers;
  /** @type {number | null} */
  #epoch = null;
  #buttons = 0;
  /** @type {{x: number, y: number} | null} */
  #pending = null;
  #lastMove = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #moveTimer;
  #ending = new AbortController();

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{send: (message: object) => void, copy: () => void, released: () => void}} on
   */
  constructor(canvas, on) {
    this.#canvas = canvas;
    this.#send = on.send;
    this.#keyboard = new Keyboard(canvas.parentElement ?? document.body, {
      ...on,
      send: message => this.say(message),
    });
    this.#fingers = new Fingers(canvas, {
      click: (x, y, button) => this.#click(x, y, button),
      press: (x, y, down) => this.say({ t: 'button', ...this.at(x, y), b: 'left', d: down }),
      move: (x, y) => this.#move(x, y),
      scroll: (x, y, dx, dy) => this.say({ t: 'wheel', ...this.at(x, y), dx, dy }),
    });
    this.#listen();
  }

  get keyboard() {
    return this.#keyboard;
  }

  get fingers() {
    return this.#fingers;
  }

  /** @param {number | null} epoch under which input is sent; null sends nothing */
  drive(epoch) {
    if (epoch === this.#epoch) return;
    this.#forget();
    this.#epoch = epoch;
    this.#keyboard.drive(epoch !== null);
  }

  /** @param {object} message gets the epoch; dropped while not driving */
  say(message) {
    if (this.#epoch !== null) this.#send({ ...message, e: this.#epoch });
  }

  /**
   * The remote pixel under a point of the window.
   * @param {number} clientX
   * @param {number} clientY
   */
  at(clientX, clientY) {
    const box = this.#canvas.getBoundingClientRect();
    const { width, height } = this.#canvas;
    // the small term keeps a point on a pixel's very edge inside it in spite of rounding
    const x = Math.floor(((clientX - box.left) * width) / (box.width || 1) + 1e-3);
    const y = Math.floor(((clientY - box.top) * height) / (box.height || 1) + 1e-3);
    return { x: Math.max(0, Math.min(width - 1, x)), y: Math.max(0, Math.min(height - 1, y)) };
  }

  /** Let go of everything, here and in the sandbox. */
  release() {
    this.#forget();
    this.say({ t: 'release' });
  }

  close() {
    this.#ending.abort();
    this.#forget();
    this.#keyboard.remove();
  }

  #forget() {
    clearTimeout(this.#moveTimer);
    this.#moveTimer = undefined;
    this.#pending = null;
    this.#buttons = 0;
    this.#fingers.release();
    this.#keyboard.drive(this.#epoch !== null);
  }

  #listen() {
    const canvas = this.#canvas;
    const { signal } = this.#ending;
    canvas.style.touchAction = 'none';
    const move = 'onpointerrawupdate' in canvas && isSecureContext ? 'pointerrawupdate' : 'pointermove';
    for (const name of new Set(['pointerdown', 'pointerup', 'pointercancel', 'pointermove', move])) {
      canvas.addEventListener(name, event => this.#pointer(/** @type {PointerEvent} */ (event)), { signal });
    }
    canvas.addEventListener('wheel', event => this.#wheel(event), { signal, passive: false });
    // no text selection, no autoscroll, no history, and the focus stays where it is put
    for (const name of ['mousedown', 'mouseup', 'auxclick', 'contextmenu', 'dragstart']) {
      canvas.addEventListener(name, event => { if (this.#epoch !== null) event.preventDefault(); }, { signal });
    }
    window.addEventListener('blur', () => this.release(), { signal });
    document.addEventListener('visibilitychange', () => { if (document.hidden) this.release(); }, { signal });
  }

  /** @param {PointerEvent} event */
  #pointer(event) {
    if (event.pointerType === 'touch') {
      if (event.type === 'pointerdown') this.#canvas.setPointerCapture(event.pointerId);
      if (event.type !== 'pointerrawupdate') this.#fingers.handle(event);
      return;
    }
    if (this.#epoch === null) return;
    if (event.type === 'pointerdown') {
      this.#canvas.setPointerCapture(event.pointerId);
      this.#keyboard.place(event.clientX, event.clientY);
      this.#keyboard.focus();
    }
    const buttons = event.type === 'pointercancel' ? 0 : event.buttons;
    // a second button makes no pointerdown of its own, only a move whose buttons differ
    if (buttons === this.#buttons) this.#move(event.clientX, event.clientY);
    else this.#press(buttons, event);
  }

  /**
   * @param {number} buttons
   * @param {PointerEvent} event
   */
  #press(buttons, event) {
    this.#cancelMove();
    const where = this.at(event.clientX, event.clientY);
    for (const [bit, name] of BUTTONS) {
      if ((buttons ^ this.#buttons) & bit) this.say({ t: 'button', ...where, b: name, d: (buttons & bit) !== 0 });
    }
    this.#buttons = buttons;
  }

  /**
   * @param {number} clientX
   * @param {number} clientY
   */
  #move(clientX, clientY) {
    this.#pending = this.at(clientX, clientY);
    const wait = this.#lastMove + MOVE_MS - performance.now();
    if (wait <= 0) this.#flushMove();
    else this.#moveTimer ??= setTimeout(() => this.#flushMove(), wait);
  }

  #flushMove() {
    const move = this.#pending;
    this.#cancelMove();
    if (!move) return;
    this.#lastMove = performance.now();
    this.say({ t: 'move', ...move });
  }

  #cancelMove() {
    clearTimeout(this.#moveTimer);
    this.#moveTimer = undefined;
    this.#pending = null;
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (this.#epoch === null) return;
    event.preventDefault();
    if (event.ctrlKey) {
      // a pinch on a touchpad
      this.#fingers.zoomBy(Math.exp(-event.deltaY / 200), event.clientX, event.clientY);
      return;
    }
    const unit = event.deltaMode === 1 ? LINE_PX : event.deltaMode === 2 ? this.#canvas.height : 1;
    this.#flushMove();
    const [dx, dy] = [notched(event.deltaX * unit), notched(event.deltaY * unit)];
    this.say({ t: 'wheel', ...this.at(event.clientX, event.clientY), dx, dy });
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {'left' | 'right'} button
   */
  #click(x, y, button) {
    const where = this.at(x, y);
    this.say({ t: 'move', ...where });
    this.say({ t: 'button', ...where, b: button, d: true });
    this.say({ t: 'button', ...where, b: button, d: false });
  }
}

/**
 * A wheel's notch is 100 pixels in some browsers and 120 in others, and one notch of the sandbox's wheel is 120: were it
 * not made the same, every sixth notch would do nothing and smooth scrolling would stop and start.
 * @param {number} delta CSS pixels
 */
function notched(delta) {
  const notches = delta / NOTCH_PX;
  return Math.abs(notches - Math.round(notches)) < 1e-6 ? Math.round(notches) * SANDBOX_NOTCH_PX : delta;
}
