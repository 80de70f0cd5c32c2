// @ts-check
/** Building elements, and keeping lists of them in step with data. No framework: these few functions are all. */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Make an element: `h('button.primary', {type: 'button', on: {click}}, 'Done')`.
 * @param {string} what tag and classes
 * @param {Record<string, any>} [props] attributes; `on` holds listeners, `data` the dataset
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function h(what, props = {}, ...children) {
  const [tag, ...classes] = what.split('.');
  const element = document.createElement(tag || 'div');
  if (classes.length) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === 'data') Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false).map(child => /** @type {Node | string} */ (typeof child === 'number' ? String(child) : child)));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Node} children
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * One icon of the family in `_icons.html`.
 * @param {string} name
 * @param {string} [size] large or huge
 */
export function icon(name, size = '') {
  return svg('svg', { class: `icon ${size}`.trim(), 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

/** The element with this id; it must be there. @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`this page lacks #${id}`);
  return element;
}

/** What an element looked like when it was made: since then clocks tick in it and pictures may have failed. @type {WeakMap<Element, string>} */
const asMade = new WeakMap();

/**
 * Bring a list's items in step with data, keeping the elements (and the focus in them) of what stays.
 * @template T
 * @param {HTMLElement} list
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement} make
 * @returns {HTMLElement[]} the elements that are new
 */
export function reconcile(list, items, key, make) {
  /** @type {Map<string, HTMLElement>} */
  const before = new Map();
  for (const child of /** @type {HTMLElement[]} */ ([...list.children])) {
    if (child.dataset.key) before.set(child.dataset.key, child);
    else child.remove();
  }
  const fresh = [];
  let at = list.firstElementChild;
  for (const item of items) {
    const id = key(item);
    const made = make(item);
    made.dataset.key = id;
    asMade.set(made, made.innerHTML);
    const old = before.get(id);
    before.delete(id);
    let element = made;
    if (!old) fresh.push(made);
    else if (asMade.get(old) === asMade.get(made)) element = old;
    else if (old.contains(document.activeElement)) {
      element = old;
      asMade.set(old, made.innerHTML);
      freshen(old, made);
    } else old.replaceWith(made);
    if (old === at && element === made) at = made;
    if (element !== at) list.insertBefore(element, at);
    at = element.nextElementSibling;
  }
  for (const gone of before.values()) gone.remove();
  return fresh;
}

/** Change what is inside a focused row without taking the focus from it. @param {HTMLElement} old @param {HTMLElement} made */
function freshen(old, made) {
  const [link, newer] = [old.querySelector('a'), made.querySelector('a')];
  if (link && newer) link.replaceChildren(...newer.childNodes);
}

/**
 * Replace an element's content only when it would look different, so that fields keep what was typed into them.
 * @param {HTMLElement} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  const next = h('div', {}, ...children);
  if (next.innerHTML === asMade.get(element)) return false;
  asMade.set(element, next.innerHTML);
  element.replaceChildren(...next.childNodes);
  return true;
}

/**
 * Say something in passing.
 * @param {string} text
 * @param {{name?: string, action?: [string, () => void], ms?: number}} [options]
 */
export function toast(text, { name = 'info', action, ms = 4000 } = {}) {
  const box = h('div.toast', {}, icon(name), h('span', {}, text));
  if (action) {
    const [label, act] = action;
    box.append(h('button.button.bare', { type: 'button', on: { click: () => { act(); box.remove(); } } }, label));
  }
  byId('toasts').append(box);
  setTimeout(() => box.remove(), ms);
}
