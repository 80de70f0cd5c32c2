// @ts-check
// Runs in an isolated world of Baton's own, never in the page's: its globals and prototypes cannot be tampered with.
// Tells when the document has changed and settled, and digests what state it is in; lives as long as the document.
((/** @type {{binding: string}} */ config) => {
  const self = /** @type {any} */ (globalThis);
  if (self.__batonWatch) return self.__batonWatch;

  const QUIET_MS = 200;
  const LONGEST_MS = 1000;
  // What changes so long after anybody did something changes by itself; so often, and it is noise.
  const BY_ITSELF_MS = 1500;
  const OFTEN = 3;
  const MOST = 6000;
  const UNREAD = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'LINK', 'META']);
  const TELLING = ['class', 'style', 'hidden', 'open', 'disabled', 'aria-expanded', 'aria-selected', 'aria-checked', 'aria-pressed'];

  const born = performance.now();
  let acted = born;
  let timer = 0;
  let since = 0;
  const changes = /** @type {WeakMap<Node, number>} */ (new WeakMap());
  const noisy = (/** @type {Node} */ node) => (changes.get(node) ?? 0) >= OFTEN;

  const tell = () => {
    timer = 0;
    self[config.binding]?.('');
  };
  function soon() {
    const now = performance.now();
    if (!timer) since = now;
    else if (now - since > LONGEST_MS) return;
    clearTimeout(timer);
    timer = setTimeout(tell, QUIET_MS);
  }

  /** Whether a change may make or unmake a blocker: text that ticks by itself does not. */
  function matters(/** @type {MutationRecord} */ record) {
    if (record.type !== 'childList') return record.type === 'attributes';
    return !(noisy(record.target) && [...record.addedNodes, ...record.removedNodes].every((node) => node.nodeType === 3));
  }

  const observer = new MutationObserver((records) => {
    const now = performance.now();
    if (now - acted > BY_ITSELF_MS && now - born > BY_ITSELF_MS) {
      const changed = new Set(records.map(({ type, target }) => (type === 'characterData' ? target.parentNode : target)));
      for (const node of changed) {
        if (!node) continue;
        const times = (changes.get(node) ?? 0) + 1;
        changes.set(node, times);
        // From now on it is left out of the state, which has to be read anew.
        if (times === OFTEN) soon();
      }
    }
    if (records.some(matters)) soon();
  });
  const watched = /** @type {WeakSet<Node>} */ (new WeakSet());
  function watch(/** @type {Node} */ root) {
    if (watched.has(root)) return;
    watched.add(root);
    observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
  }
  watch(document);
  for (const name of ['pointerdown', 'keydown', 'input', 'click', 'submit', 'touchstart']) {
    self.addEventListener(name, () => (acted = performance.now()), { capture: true, passive: true });
  }
  self.addEventListener('scroll', () => (acted = performance.now()), { capture: true, passive: true });

  // 53 bits are enough to see that something changed, and what it was stays in the page.
  let a = 0;
  let b = 0;
  function add(/** @type {unknown} */ value) {
    const text = String(value);
    for (let index = 0; index < text.length && index < 4000; index += 1) {
      a = Math.imul(a ^ text.charCodeAt(index), 2654435761);
      b = Math.imul(b ^ text.charCodeAt(index), 1597334677);
    }
    a = Math.imul(a ^ text.length, 2246822507);
    b = Math.imul(b ^ (a >>> 13), 3266489909);
  }
  const digest = () => (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);

  function addElement(/** @type {Element} */ element) {
    add(element.nodeName);
    for (const name of TELLING) if (element.hasAttribute(name)) add(name + element.getAttribute(name));
    if (element.scrollTop || element.scrollLeft) {
      if (element !== document.scrollingElement) add(`${element.scrollTop} ${element.scrollLeft}`);
    }
    if (element instanceof HTMLInputElement && element.type !== 'hidden') add(`${element.checked} ${element.value}`);
    else if (element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement) add(element.value);
    else if (element instanceof HTMLMediaElement) add(`${element.paused} ${element.muted}`);
  }

  /** Whether what happens in an element cannot be seen from the document. */
  function blind(/** @type {Element} */ element) {
    if (!(element instanceof HTMLCanvasElement || element instanceof HTMLVideoElement || element instanceof HTMLObjectElement || element instanceof HTMLEmbedElement)) return false;
    const { width, height } = element.getBoundingClientRect();
    return width * height > (innerWidth * innerHeight) / 4;
  }

  /** A digest of what the document shows; null where that cannot be told. */
  function state() {
    a = 0xdeadbeef;
    b = 0x41c6ce57;
    let seen = 0;
    let left = 0;
    const roots = /** @type {Node[]} */ ([document.documentElement]);
    while (roots.length && seen < MOST) {
      const root = /** @type {Node} */ (roots.pop());
      const walker = document.createTreeWalker(root, 5, (node) => {
        if (node.nodeType === 1 && (UNREAD.has(node.nodeName) || noisy(node))) {
          if (noisy(node)) left += /** @type {Element} */ (node).getElementsByTagName('*').length + 1;
          return NodeFilter.FILTER_REJECT;
        }
        return NodeFilter.FILTER_ACCEPT;
      });
      for (let node = walker.nextNode(); node && seen < MOST; node = walker.nextNode()) {
        seen += 1;
        if (node instanceof Element) {
          if (blind(node)) return null;
          addElement(node);
          if (node.shadowRoot) {
            watch(node.shadowRoot);
            roots.push(node.shadowRoot);
          }
        } else {
          const text = (node.nodeValue ?? '').trim();
          if (text) add(text);
        }
      }
    }
    if (left > 20 && left > seen / 4) return null;
    add(location.href);
    add(document.title);
    return digest();
  }

  /** Where in the document keys go: focus, caret and scrolling. */
  function place() {
    a = b = 1;
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    const all = at ? [...document.querySelectorAll(at.localName)] : [];
    add(at ? `${at.localName} ${all.indexOf(at)}` : '');
    if (at instanceof HTMLInputElement || at instanceof HTMLTextAreaElement) add(`${at.selectionStart} ${at.selectionEnd}`);
    add(`${Math.round(scrollX)} ${Math.round(scrollY)}`);
    return digest();
  }

  const status = () => {
    const entry = /** @type {PerformanceNavigationTiming | undefined} */ (performance.getEntriesByType('navigation')[0]);
    return entry?.responseStatus || null;
  };

  self.__batonWatch = { look: () => ({ state: state(), place: place(), status: status() }) };
  return self.__batonWatch;
})
