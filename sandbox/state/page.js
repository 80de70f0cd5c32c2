// Runs in an isolated world of Baton's own, never in the page's: its globals and prototypes cannot be tampered with.
// Evaluates to an object with the operations below; state lives as long as the document.
((config) => {
  if (globalThis.__baton) return globalThis.__baton;

  const secretName = new RegExp(config.name, 'i');
  const secretAutocomplete = new RegExp(config.autocomplete, 'i');
  const textInputs = new Set(config.textInputs);
  const marked = new WeakSet();
  const baseline = new WeakMap();
  const ids = new WeakMap();
  const closedRoots = new Set();
  let fresh = [];
  let lease = false;
  const token = Math.random().toString(36).slice(2);
  let nextId = 0;

  // A form or a picture can be named like any property of the document, and then answers in its place; what the
  // prototypes of this world hold cannot be replaced.
  const ofDocument = (name) => {
    const { get } = Object.getOwnPropertyDescriptor(Document.prototype, name);
    return () => Reflect.apply(get, document, []);
  };
  const documentTitle = ofDocument('title');
  const documentState = ofDocument('readyState');
  const findIn = (root, css) => (root === document ? Document : DocumentFragment).prototype.querySelectorAll.call(root, css);

  function* roots() {
    const queue = [document, ...closedRoots];
    while (queue.length) {
      const root = queue.pop();
      yield root;
      for (const element of findIn(root, '*')) if (element.shadowRoot instanceof ShadowRoot) queue.push(element.shadowRoot);
    }
  }

  const isField = (element) =>
    element instanceof HTMLTextAreaElement ||
    (element instanceof HTMLInputElement && textInputs.has(element.type)) ||
    (element instanceof HTMLElement && element.isContentEditable && !element.parentElement?.isContentEditable);

  function editingHost(element) {
    while (element.parentElement?.isContentEditable) element = element.parentElement;
    return element;
  }

  function fields() {
    const found = [];
    for (const root of roots()) {
      for (const element of findIn(root, 'input, textarea, [contenteditable]')) {
        if (isField(element)) found.push(element);
      }
    }
    if (document.designMode === 'on' && document.body) found.push(document.body);
    return found;
  }

  const isPlain = (element) => element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
  const valueOf = (element) => (isPlain(element) ? element.value : element.textContent.trim());

  // `labels` of a field searches the whole document, so one pass asks the labels instead.
  let known = null;
  function withLabels(work) {
    known = new Map();
    for (const root of roots()) {
      for (const label of findIn(root, 'label')) {
        const { control } = label;
        if (control) known.set(control, [...(known.get(control) || []), label]);
      }
    }
    try {
      return work();
    } finally {
      known = null;
    }
  }
  const labelsOf = (element) => (known ? known.get(element) : element.labels) || [];

  function byItself(element) {
    if (!isPlain(element)) return false;
    if (element.type === 'password' || secretAutocomplete.test(element.autocomplete || '')) return true;
    const labels = [...labelsOf(element)].map((label) => label.textContent);
    const names = [element.name, element.id, element.getAttribute('aria-label'), element.placeholder, ...labels];
    return names.some((name) => name && secretName.test(name));
  }

  function mark(element) {
    if (ids.has(element)) return;
    marked.add(element);
    ids.set(element, `${token}:${(nextId += 1)}`);
    fresh.push(element);
  }

  // In a secret lease a field whose value is no longer what it was when the agent lost control (or, in a document
  // that is newer than that, no longer what the page gave it) has been typed into.
  function remember(element, begin) {
    if (begin) baseline.set(element, valueOf(element));
    else if (!baseline.has(element)) {
      baseline.set(element, lease && isPlain(element) ? element.defaultValue : valueOf(element));
    }
  }

  function deepFocus() {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    for (const root of closedRoots) if (root.activeElement) element = root.activeElement;
    return element && element !== document.body ? element : null;
  }

  function box(element) {
    const rect = element.getBoundingClientRect();
    const left = Math.max(0, Math.floor(rect.left) - 2);
    const top = Math.max(0, Math.floor(rect.top) - 2);
    const right = Math.min(innerWidth, Math.ceil(rect.right) + 2);
    const bottom = Math.min(innerHeight, Math.ceil(rect.bottom) + 2);
    return right > left && bottom > top && rect.width && rect.height ? [left, top, right - left, bottom - top] : null;
  }

  const scan = (options) => withLabels(() => scanFields(options));

  function scanFields(options) {
    lease = options.lease;
    const masks = [];
    const boxes = [];
    const values = [];
    const focus = deepFocus();
    for (const element of fields()) {
      const value = valueOf(element);
      remember(element, options.begin);
      if (byItself(element) || (lease && value !== baseline.get(element))) mark(element);
      const secret = marked.has(element);
      const place = secret || (lease && element === focus) ? box(element) : null;
      if (secret && value) values.push([ids.get(element), value]);
      if (place && (value || element === focus)) masks.push(place);
      if (place && secret) boxes.push(place);
    }
    // Focus inside a closed shadow root shows only as focus on its host.
    if (lease && focus && focus.localName.includes('-') && !isField(focus)) {
      const place = box(focus);
      if (place) masks.push(place);
    }
    return { masks, boxes, values, fresh: fresh.length };
  }

  function blank(options) {
    scan(options);
    lease = false;
    const input = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
    const area = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set;
    let count = 0;
    for (const element of fields()) {
      if (!marked.has(element) || !valueOf(element)) continue;
      if (element instanceof HTMLInputElement) input.call(element, '');
      else if (element instanceof HTMLTextAreaElement) area.call(element, '');
      else element.textContent = '';
      // One input event, so that a page which keeps the value in its own state lets go of it too.
      element.dispatchEvent(new InputEvent('input', { bubbles: true, composed: true, inputType: 'deleteContent' }));
      count += 1;
    }
    return count;
  }

  // 53 bits of hash are enough to see that a value changed, and the value itself stays in the page.
  function hash(text) {
    let a = 0xdeadbeef;
    let b = 0x41c6ce57;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
    }
    a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
    b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
    return `${text.length}:${4294967296 * (2097151 & b) + (a >>> 0)}`;
  }

  function storage(limit) {
    const found = [];
    let leftOut = 0;
    for (const area of ['local', 'session']) {
      try {
        const store = area === 'local' ? localStorage : sessionStorage;
        leftOut += Math.max(0, store.length - limit);
        for (let index = 0; index < Math.min(store.length, limit); index += 1) {
          const key = store.key(index);
          found.push([area, key.slice(0, 200), hash(store.getItem(key) ?? '')]);
        }
      } catch {
        // Opaque origins and blocked storage have none.
      }
    }
    const title = documentTitle();
    return { origin: globalThis.origin, storage: found, leftOut, ready: documentState(), title };
  }

  const visible = (element) =>
    element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) &&
    [...element.getClientRects()].some((rect) => rect.width > 0 && rect.height > 0);

  function query(css) {
    let present = 0;
    let shown = 0;
    try {
      for (const root of roots()) {
        for (const element of findIn(root, css)) {
          present += 1;
          if (visible(element)) shown += 1;
        }
      }
    } catch {
      return { invalid: true };
    }
    return { present, shown };
  }

  function shows(text) {
    const plain = (value) => value.replace(/\s+/g, ' ').trim().toLowerCase();
    const wanted = plain(text);
    // What a secret was typed into is part of the text where it is no plain field.
    const typed = fields().filter((element) => !isPlain(element) && marked.has(element)).map((element) => plain(element.innerText));
    const without = (shown) => typed.reduce((left, secret) => (secret ? left.replaceAll(secret, '\n') : left), shown);
    for (const root of roots()) {
      const parts = root === document ? [document.body] : [...root.children];
      for (const part of parts) if (part?.innerText !== undefined && without(plain(part.innerText)).includes(wanted)) return true;
    }
    return false;
  }

  function has(key) {
    for (const area of ['localStorage', 'sessionStorage']) {
      try {
        if (globalThis[area].getItem(key) !== null) return true;
      } catch {
        // Opaque origins and blocked storage have none.
      }
    }
    return false;
  }

  function entry() {
    const element = deepFocus();
    if (!element || !isField(element)) return false;
    mark(element);
    return true;
  }

  // What is typed is told at once: the page may be gone, with the field, before the next scan.
  const tell = (payload) => globalThis[config.binding]?.(payload);
  // Where nothing is to be told but "look again", the page paints what was typed first: the look takes it 2 ms.
  let looking = false;
  const lookAgain = () => {
    if (document.visibilityState === 'hidden') return tell('');
    if (looking) return undefined;
    looking = true;
    requestAnimationFrame(() =>
      setTimeout(() => {
        looking = false;
        tell('');
      }),
    );
    return undefined;
  };
  // That somebody acts, not what they do.
  let acted = 0;
  const onAct = (event) => {
    const now = performance.now();
    if (!event.isTrusted || now - acted < config.actedMs) return;
    acted = now;
    tell(`${config.acted}${performance.timeOrigin + now}`);
  };
  const onFocus = (event) => event.isTrusted && tell('');
  const onInput = (event) => {
    if (!event.isTrusted) return;
    let element = event.composedPath()[0];
    if (element instanceof HTMLElement && !isPlain(element)) element = editingHost(element);
    if (!(element instanceof HTMLElement) || !isField(element)) return lookAgain();
    if (lease || byItself(element)) mark(element);
    if (!marked.has(element)) return lookAgain();
    tell(JSON.stringify([ids.get(element), valueOf(element)]));
  };
  function listen(root) {
    root.addEventListener('focusin', onFocus, { capture: true, passive: true });
    root.addEventListener('input', onInput, { capture: true, passive: true });
  }
  listen(globalThis);
  for (const name of ['pointerdown', 'pointerup', 'keydown', 'drop', 'wheel']) {
    globalThis.addEventListener(name, onAct, { capture: true, passive: true });
  }

  const takeFresh = () => {
    const taken = fresh.filter((element) => element.isConnected);
    fresh = [];
    return taken;
  };
  const markAgain = (element) => marked.add(element);
  function addRoot(root) {
    if (closedRoots.has(root)) return;
    closedRoots.add(root);
    listen(root);
  }
  const secret = (element) => marked.has(element) || byItself(element);
  const telling = (label) => secretName.test(label);
  // Resource Timing: what the server answered when this document was loaded.
  const status = () => performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0;

  const filled = () => withLabels(() => fields().some((element) => secret(element) && valueOf(element) !== ''));

  globalThis.__baton = {
    filled, status, scan, blank, storage, query, shows, has, entry, takeFresh, markAgain, addRoot, secret, telling, hash, closedRoots, withLabels, labelsOf,
  };
  return globalThis.__baton;
})
