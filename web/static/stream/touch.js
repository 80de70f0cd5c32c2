// @ts-check
/**
 * Fingers on the picture: a tap is a click, a long press a right click, one finger drags, two fingers scroll.
 * A pinch zooms the picture here and tells the page nothing; while zoomed, two fingers move the picture.
 */

const LONG_PRESS_MS = 500;
const SLOP = 10;
const MAX_ZOOM = 5;

/**
 * @typedef {object} Actions what a gesture does, in client coordinates
 * @property {(x: number, y: number, button: 'left' | 'right') => void} click
 * @property {(x: number, y: number, down: boolean) => void} press
 * @property {(x: number, y: number) => void} move
 * @property {(x: number, y: number, dx: number, dy: number) => void} scroll
 */

/** Follows the fingers on one canvas. */
export class Fingers {
  #canvas;
  #actions;
  /** @type {Map<number, {x: number, y: number}>} */
  #down = new Map();
  /** @type {'none' | 'waiting' | 'dragging' | 'two' | 'done'} */
  #state = 'none';
  #start = { x: 0, y: 0 };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {{x: number, y: number, spread: number} | null} */
  #pair = null;
  /** @type {'unknown' | 'zoom' | 'scroll'} what two fingers are about */
  #gesture = 'unknown';
  #zoom = { scale: 1, x: 0, y: 0 };

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Actions} actions
   */
  constructor(canvas, actions) {
    this.#canvas = canvas;
    this.#actions = actions;
  }

  /** How much the picture is enlarged here. */
  get zoom() {
    return this.#zoom.scale;
  }

  /** @param {PointerEvent} event */
  handle(event) {
    const point = { x: event.clientX, y: event.clientY };
    if (event.type === 'pointerdown') this.#press(event.pointerId, point);
    else if (event.type === 'pointermove') this.#move(event.pointerId, point);
    else if (this.#down.has(event.pointerId)) this.#lift(event.pointerId, event.type === 'pointercancel');
  }

  /** Forget every finger (the console lost focus). */
  release() {
    clearTimeout(this.#timer);
    this.#down.clear();
    this.#state = 'none';
    this.#pair = null;
  }

  /** Show the whole picture again. */
  reset() {
    this.#zoom = { scale: 1, x: 0, y: 0 };
    this.#canvas.style.transform = '';
  }

  /**
   * Enlarge the picture by `factor` round a point of the window.
   * @param {number} factor
   * @param {number} x
   * @param {number} y
   */
  zoomBy(factor, x, y) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = Math.max(1, Math.min(MAX_ZOOM, this.#zoom.scale * factor));
    const real = scale / this.#zoom.scale;
    this.#place(scale, this.#zoom.x + (x - box.left) * (1 - real), this.#zoom.y + (y - box.top) * (1 - real));
  }

  /**
   * @param {number} scale
   * @param {number} x
   * @param {number} y
   */
  #place(scale, x, y) {
    if (scale === 1) {
      this.reset();
      return;
    }
    const [width, height] = [this.#canvas.offsetWidth, this.#canvas.offsetHeight];
    this.#zoom = { scale, x: Math.min(0, Math.max(width * (1 - scale), x)), y: Math.min(0, Math.max(height * (1 - scale), y)) };
    this.#canvas.style.transformOrigin = '0 0';
    this.#canvas.style.transform = `translate(${this.#zoom.x}px, ${this.#zoom.y}px) scale(${scale})`;
  }

  /**
   * @param {number} id
   * @param {{x: number, y: number}} point
   */
  #press(id, point) {
    this.#down.set(id, point);
    clearTimeout(this.#timer);
    if (this.#down.size === 1) {
      this.#state = 'waiting';
      this.#start = point;
      this.#timer = setTimeout(() => {
        this.#state = 'done';
        navigator.vibrate?.(10);
        this.#actions.click(point.x, point.y, 'right');
      }, LONG_PRESS_MS);
    } else if (this.#down.size === 2) {
      if (this.#state === 'dragging') this.#actions.press(this.#start.x, this.#start.y, false);
      this.#state = 'two';
      this.#gesture = 'unknown';
      this.#pair = this.#measure();
    }
  }

  /**
   * @param {number} id
   * @param {{x: number, y: number}} point
   */
  #move(id, point) {
    if (!this.#down.has(id)) return;
    this.#down.set(id, point);
    if (this.#state === 'two') this.#moveTwo();
    if (this.#state === 'waiting' && Math.hypot(point.x - this.#start.x, point.y - this.#start.y) > SLOP) {
      clearTimeout(this.#timer);
      this.#state = 'dragging';
      this.#actions.press(this.#start.x, this.#start.y, true);
    }
    if (this.#state === 'dragging') this.#actions.move(point.x, point.y);
  }

  #moveTwo() {
    const before = this.#pair;
    const now = this.#measure();
    if (!before || !now) return;
    // the fingers are told one after the other, so what they do shows only after some way
    if (this.#gesture === 'unknown') {
      if (Math.abs(now.spread - before.spread) > 2 * SLOP) this.#gesture = 'zoom';
      else if (Math.hypot(now.x - before.x, now.y - before.y) > SLOP) this.#gesture = 'scroll';
      else return;
    }
    if (this.#gesture === 'zoom') this.zoomBy(now.spread / before.spread, now.x, now.y);
    else if (this.#zoom.scale > 1) this.#place(this.#zoom.scale, this.#zoom.x + now.x - before.x, this.#zoom.y + now.y - before.y);
    else this.#actions.scroll(now.x, now.y, before.x - now.x, before.y - now.y);
    this.#pair = now;
  }

  /**
   * @param {number} id
   * @param {boolean} cancelled
   */
  #lift(id, cancelled) {
    const point = this.#down.get(id) ?? this.#start;
    this.#down.delete(id);
    clearTimeout(this.#timer);
    if (this.#state === 'waiting' && !cancelled) this.#actions.click(point.x, point.y, 'left');
    if (this.#state === 'dragging') this.#actions.press(point.x, point.y, false);
    this.#state = this.#down.size ? 'done' : 'none';
    this.#pair = null;
  }

  #measure() {
    const [one, other] = [...this.#down.values()];
    if (!one || !other) return null;
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, spread: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)) };
  }
}
