// @ts-check
/**
 * Keys, composition and paste, taken by a text area nobody sees: only a real text field makes input methods, phone
 * keyboards and the paste event work. Esc twice gives the keyboard back.
 */

const TWICE_MS = 500;
const LOCKS = new Set(['CapsLock', 'NumLock', 'ScrollLock']);
const SILENT = new Set(['Dead', 'Process', 'Unidentified']);
const MODIFIERS = /^(Control|Shift|Alt|Meta)/;
const IS_MAC = /Mac|iPhone|iPad/.test(navigator.platform);

/** Keeps the keyboard while its text area has the focus. */
export class Keyboard {
  #area = document.createElement('textarea');
  #send;
  #copy;
  #released;
  #driving = false;
  /** @type {Map<string, string>} code → key of what is down in the sandbox */
  #held = new Map();
  #composing = false;
  #lastEscape = -Infinity;

  /**
   * @param {HTMLElement} near where the text area goes
   * @param {{send: (message: object) => void, copy: () => void, released: () => void}} on
   */
  constructor(near, on) {
    this.#send = on.send;
    this.#copy = on.copy;
    this.#released = on.released;
    const area = this.#area;
    Object.assign(area, { tabIndex: -1, autocomplete: 'off', spellcheck: false });
    area.setAttribute('autocapitalize', 'off');
    area.setAttribute('autocorrect', 'off');
    area.setAttribute('aria-label', 'Keyboard of the remote page');
    Object.assign(area.style, {
      position: 'fixed', left: '0', top: '0', width: '1px', height: '1px', opacity: '0', border: '0', padding: '0', resize: 'none',
      // anything smaller makes phones zoom in
      fontSize: '16px', pointerEvents: 'none',
    });
    near.append(area);
    area.addEventListener('keydown', event => this.#down(event));
    area.addEventListener('keyup', event => this.#up(event));
    area.addEventListener('beforeinput', event => this.#beforeInput(event));
    area.addEventListener('input', event => this.#input(/** @type {InputEvent} */ (event)));
    area.addEventListener('compositionstart', () => { this.#composing = true; });
    area.addEventListener('compositionupdate', event => this.#say({ t: 'compose', text: event.data }));
    area.addEventListener('compositionend', event => this.#composed(event.data));
    area.addEventListener('paste', event => this.#paste(event));
    area.addEventListener('blur', () => this.release());
  }

  /** Whether keys go to the page. */
  get active() {
    return this.#driving && document.activeElement === this.#area;
  }

  /** Take the keyboard (on a phone this raises it). */
  focus() {
    this.#area.focus({ preventScroll: true });
  }

  /** Give the keyboard back to the console. */
  blur() {
    this.#area.blur();
  }

  /** @param {boolean} driving */
  drive(driving) {
    this.#driving = driving;
    this.#held.clear();
    this.#composing = false;
    this.#area.value = '';
  }

  /** Forget what is held; the sandbox is told by whoever calls, or here when something was down. */
  release() {
    if (this.#held.size) this.#say({ t: 'release' });
    this.#held.clear();
  }

  /** Where the input method's window should appear. @param {number} x @param {number} y client coordinates */
  place(x, y) {
    this.#area.style.left = `${Math.max(0, Math.min(innerWidth - 2, x))}px`;
    this.#area.style.top = `${Math.max(0, Math.min(innerHeight - 2, y))}px`;
  }

  remove() {
    this.#area.remove();
  }

  /** Let go of the modifiers before something that must not be taken together with them. */
  liftModifiers() {
    for (const [code, key] of this.#held) {
      if (!MODIFIERS.test(key)) continue;
      this.#held.delete(code);
      this.#say({ t: 'key', code, key, d: false });
    }
  }

  /** @param {object} message */
  #say(message) {
    if (this.#driving) this.#send(message);
  }

  /** @param {KeyboardEvent} event */
  #down(event) {
    if (!this.#driving || event.isComposing || this.#composing || event.keyCode === 229 || SILENT.has(event.key)) return;
    const command = IS_MAC ? event.metaKey : event.ctrlKey;
    if (command && !event.altKey && event.code === 'KeyV') return; // the paste event follows
    event.preventDefault();
    if (command && !event.altKey && !event.shiftKey && event.code === 'KeyC') {
      if (!event.repeat) this.#copy();
      return;
    }
    if (LOCKS.has(event.key) || this.#escapes(event)) return;
    // a character that takes AltGr (or Option) is no shortcut
    const composed = event.getModifierState('AltGraph') || (IS_MAC && event.altKey && !command);
    if (composed && event.key.length === 1) {
      this.liftModifiers();
      this.#say({ t: 'text', text: event.key });
      return;
    }
    const { code, key } = translate(event);
    if (!MODIFIERS.test(key)) this.#matchModifiers(event);
    this.#held.set(code, key);
    this.#say({ t: 'key', code, key, d: true });
  }

  /**
   * Bring the sandbox's modifiers in line with the operator's: one that was let go for a paste may be down still, and
   * one that was let go in another window is not.
   * @param {KeyboardEvent} event
   */
  #matchModifiers(event) {
    /** @type {[string, boolean][]} */
    const wanted = [
      ['Control', event.ctrlKey || (IS_MAC && event.metaKey)], ['Shift', event.shiftKey], ['Alt', event.altKey],
      ['Meta', event.metaKey && !IS_MAC],
    ];
    for (const [name, down] of wanted) {
      const held = [...this.#held].filter(([, key]) => key === name);
      if (down && !held.length) {
        this.#held.set(`${name}Left`, name);
        this.#say({ t: 'key', code: `${name}Left`, key: name, d: true });
      }
      for (const [code, key] of down ? [] : held) {
        this.#held.delete(code);
        this.#say({ t: 'key', code, key, d: false });
      }
    }
  }

  /** @param {KeyboardEvent} event */
  #escapes(event) {
    if (event.key !== 'Escape' || event.repeat) return false;
    const twice = event.timeStamp - this.#lastEscape < TWICE_MS;
    this.#lastEscape = event.timeStamp;
    if (twice) {
      this.blur();
      this.#released();
    }
    return twice;
  }

  /** @param {KeyboardEvent} event */
  #up(event) {
    if (!this.#driving) return;
    const { code, key } = translate(event);
    if (this.#held.delete(code)) this.#say({ t: 'key', code, key, d: false });
    // macOS tells of no key that goes up while Command is down
    if (IS_MAC && event.key === 'Meta') this.release();
  }

  /** @param {InputEvent} event */
  #beforeInput(event) {
    const keys = { deleteContentBackward: 'Backspace', deleteContentForward: 'Delete', insertLineBreak: 'Enter', insertParagraph: 'Enter' };
    const key = keys[/** @type {keyof typeof keys} */ (event.inputType)];
    if (!key || this.#composing) return;
    event.preventDefault();
    this.#say({ t: 'key', code: key, key, d: true });
    this.#say({ t: 'key', code: key, key, d: false });
  }

  /** @param {InputEvent} event */
  #input(event) {
    if (event.isComposing || this.#composing || /Composition/.test(event.inputType)) return;
    if (event.data) this.#say({ t: 'text', text: event.data });
    this.#area.value = '';
  }

  /** @param {string} text */
  #composed(text) {
    this.#composing = false;
    this.#say(text ? { t: 'text', text } : { t: 'compose', text: '' });
    this.#area.value = '';
  }

  /** @param {ClipboardEvent} event */
  #paste(event) {
    event.preventDefault();
    const text = event.clipboardData?.getData('text/plain');
    if (!text) return;
    this.liftModifiers();
    this.#say({ t: 'paste', text });
  }
}

/**
 * @param {KeyboardEvent} event
 * @returns {{code: string, key: string}}
 */
function translate(event) {
  if (IS_MAC && event.key === 'Meta') return { code: event.code.replace('Meta', 'Control'), key: 'Control' };
  return { code: event.code || event.key, key: event.key };
}
