// @ts-check
// Runs in an isolated world of Baton's own, never in the page's: its globals and prototypes cannot be tampered with.
// Evaluates to what `facts.Scan.from_wire` reads: what stands in this document, bounded, and never a field's value.
((/** @type {{marks: {name: string, css: string}[], images: string}} */ config) => {
  const MOST = { forms: 40, fields: 300, buttons: 60, overlays: 12, marks: 6, iframes: 40, images: 300, scripts: 150 };
  const TEXT = 4000;
  const NODES = 10000;
  const UNREAD = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION', 'svg', 'text', 'title', 'TEXTAREA', 'IFRAME']);
  const images = new RegExp(config.images, 'i');

  const short = (/** @type {unknown} */ text, most = 120) =>
    String(text ?? '').slice(0, most * 4).replace(/\s+/g, ' ').trim().slice(0, most);

  // Elements that cannot have a shadow root are left to the selector: each that comes here costs a wrapper.
  const HOSTS = `*:not(a, b, i, em, strong, img, br, hr, ul, ol, li, dl, dt, dd, table, thead, tbody, tr, td, th, form,
    label, input, button, select, option, optgroup, textarea, fieldset, legend, script, noscript, style, link, meta,
    title, head, html, iframe, picture, source, video, audio, canvas, figure, small, time, svg, svg *)`;

  /** @returns {(Document | ShadowRoot)[]} */
  function roots() {
    const found = /** @type {(Document | ShadowRoot)[]} */ ([document]);
    for (let at = 0; at < found.length && at < 100; at += 1) {
      for (const element of found[at].querySelectorAll(HOSTS)) if (element.shadowRoot) found.push(element.shadowRoot);
    }
    return found;
  }

  const shown = (/** @type {Element} */ element) => {
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const rect = element.getBoundingClientRect();
    return rect.width > 2 && rect.height > 2 && rect.right > 0 && rect.bottom + scrollY > 0;
  };

  /** @returns {[number, number, number, number] | null} */
  function box(/** @type {Element} */ element) {
    const { left, top, width, height } = element.getBoundingClientRect();
    return width && height ? [Math.round(left), Math.round(top), Math.round(width), Math.round(height)] : null;
  }

  function selector(/** @type {Element} */ element) {
    const steps = [];
    const root = /** @type {Document | ShadowRoot} */ (element.getRootNode());
    for (let at = /** @type {Element | null} */ (element); at && steps.length < 12; at = at.parentElement) {
      const id = at.getAttribute('id');
      if (id && id.length < 60 && root.getElementById?.(id) === at) {
        steps.unshift(`#${CSS.escape(id)}`);
        break;
      }
      let place = 1;
      for (let other = at.previousElementSibling; other; other = other.previousElementSibling) {
        if (other.localName === at.localName) place += 1;
      }
      steps.unshift(at.parentElement ? `${at.localName}:nth-of-type(${place})` : at.localName);
    }
    return steps.join(' > ');
  }

  const about = (/** @type {Element} */ element) =>
    short(['id', 'class', 'name', 'action', 'aria-label', 'role', 'data-testid']
      .map((name) => element.getAttribute(name) || '').join(' '), 300);

  // A walker over text alone makes no wrapper for what stands between; a filter would be called for each node.
  function reading(/** @type {Node} */ root, most = TEXT, seen = /** @type {(e: Element) => boolean} */ (() => true)) {
    const parts = [];
    const readable = /** @type {Map<Node | null, boolean>} */ (new Map());
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    let length = 0;
    for (let left = NODES; length < most && left > 0; left -= 1) {
      const node = /** @type {Text | null} */ (texts.nextNode());
      if (!node) break;
      if (!/\S/.test(node.data)) continue;
      const parent = node.parentElement;
      if (!readable.has(parent)) readable.set(parent, !parent || (!UNREAD.has(parent.nodeName) && seen(parent)));
      if (!readable.get(parent)) continue;
      const text = short(node.data, TEXT);
      parts.push(text);
      length += text.length + 1;
    }
    return { text: parts.join(' ').slice(0, most), length };
  }

  // Not by opacity, which asks every ancestor: this is called for each element that holds text.
  const visible = (/** @type {Element} */ element) => element.checkVisibility({ visibilityProperty: true });

  // Asked of the labels, once: a field that is asked for its labels looks for them in all of its form.
  const labels = /** @type {Map<Element | null, (string | null)[]>} */ (new Map());
  function readLabels(/** @type {(Document | ShadowRoot)[]} */ all) {
    for (const root of all) {
      for (const each of root.querySelectorAll('label')) {
        if (each.control) labels.set(each.control, [...(labels.get(each.control) || []), each.textContent]);
      }
    }
  }

  function label(/** @type {HTMLInputElement} */ field) {
    const named = (field.getAttribute('aria-labelledby') || '').split(/\s+/)
      .map((id) => (id && /** @type {Document} */ (field.getRootNode()).getElementById?.(id)?.textContent) || '');
    const texts = [...(labels.get(field) || []), ...named, field.getAttribute('aria-label'), field.placeholder, field.title];
    if (!texts.some((text) => text && text.trim())) texts.push(before(field));
    return short(texts.filter(Boolean).join(' '), 200);
  }

  // What stands before a field that has no label: in its own cell or line, or in the cell before.
  function before(/** @type {Element} */ field) {
    for (let at = /** @type {Element | null} */ (field), up = 0; at && up < 3; at = at.parentElement, up += 1) {
      for (let other = at.previousSibling, steps = 0; other && steps < 4; other = other.previousSibling, steps += 1) {
        if (other instanceof Element && /^(INPUT|SELECT|TEXTAREA|FORM)$/.test(other.tagName)) return '';
        const text = UNREAD.has(other.nodeName) ? '' : short(other.textContent, 80);
        if (text) return text;
      }
    }
    return '';
  }

  const isButton = (/** @type {Element} */ element) =>
    element.localName === 'button' || /^(submit|button|image|reset)$/.test(/** @type {any} */ (element).type) ||
    element.getAttribute('role') === 'button';

  const caption = (/** @type {any} */ button) =>
    short(button.localName === 'input' ? button.value || button.alt || button.title
      : button.innerText || button.getAttribute('aria-label') || button.title, 60);

  function readField(/** @type {HTMLInputElement} */ field) {
    return {
      type: field.localName === 'input' ? field.type : field.localName,
      name: short(`${field.getAttribute('name') || ''} ${field.id}`, 120),
      label: label(field),
      autocomplete: short(field.getAttribute('autocomplete'), 60),
      visible: shown(field),
      length: field.maxLength > 0 ? field.maxLength : 0,
    };
  }

  function heading(/** @type {Element} */ form) {
    for (let at = /** @type {Element | null} */ (form), up = 0; at && up < 4; at = at.parentElement, up += 1) {
      const found = at.querySelector('legend, h1, h2, h3, h4');
      if (found) return short(found.textContent, 100);
    }
    return '';
  }

  // Fields that belong to no form make one of their own, for each root.
  function readForms(/** @type {(Document | ShadowRoot)[]} */ all) {
    readLabels(all);
    const groups = new Map();
    let count = 0;
    for (const root of all) {
      for (const element of root.querySelectorAll('input, select, textarea, button, [role="button"]')) {
        const field = /** @type {HTMLInputElement} */ (element);
        if (field.type === 'hidden') continue;
        const owner = field.form || (element.localName === 'button' || element.localName === 'input' ||
          element.localName === 'select' || element.localName === 'textarea' ? null : element.closest('form')) || root;
        if (!groups.has(owner)) groups.set(owner, { fields: [], buttons: [] });
        const group = groups.get(owner);
        if (isButton(element)) group.buttons.push(element);
        else if ((count += 1) <= MOST.fields) group.fields.push(element);
      }
    }
    const forms = [];
    for (const [owner, group] of groups) {
      if (!group.fields.length || forms.length >= MOST.forms) continue;
      const fields = group.fields.map(readField);
      const loose = !(owner instanceof HTMLFormElement);
      const place = loose ? group.fields[0] : owner;
      forms.push({
        about: loose ? '' : about(owner),
        fields,
        buttons: group.buttons.slice(0, 12).map(caption).filter(Boolean),
        heading: heading(loose ? place.parentElement || place : owner),
        text: loose ? '' : reading(owner, 600).text,
        visible: fields.some((each) => each.visible),
        selector: selector(place),
        box: box(place),
      });
    }
    return forms;
  }

  // An element without size may still be a widget, or a picture, that has not come yet.
  const readMark = (/** @type {Element} */ element, /** @type {string} */ name) =>
    ({ name, visible: visible(element), selector: selector(element), box: box(element), about: about(element) });

  const readPart = (/** @type {Element} */ element, /** @type {string} */ name, seen = visible) =>
    ({ name, visible: seen(element), about: about(element) });

  function readMarks(/** @type {(Document | ShadowRoot)[]} */ all) {
    const found = [];
    for (const { name, css } of config.marks) {
      let count = 0;
      for (const root of all) {
        for (const element of root.querySelectorAll(css)) if ((count += 1) <= MOST.marks) found.push(readMark(element, name));
      }
    }
    return found;
  }

  // What covers the page is found by looking at points of the viewport, which costs far less than asking every style.
  function readOverlays(/** @type {(Document | ShadowRoot)[]} */ all) {
    const found = new Set();
    const asked = new Set();
    for (const x of [0.1, 0.5, 0.9]) {
      for (const y of [0.05, 0.5, 0.95]) {
        for (const hit of document.elementsFromPoint(innerWidth * x, innerHeight * y).slice(0, 6)) {
          for (let at = /** @type {Element | null} */ (hit), up = 0; at && up < 12; at = at.parentElement, up += 1) {
            if (at === document.body || at === document.documentElement || asked.has(at)) break;
            asked.add(at);
            if (/^(fixed|sticky)$/.test(getComputedStyle(at).position)) found.add(at);
          }
        }
      }
    }
    for (const root of all) {
      const dialogs = root.querySelectorAll('dialog[open], [role="dialog"], [role="alertdialog"], [aria-modal="true"]');
      for (const each of dialogs) if (shown(each)) found.add(each);
    }
    return [...found].slice(0, MOST.overlays).map((element) => {
      const rect = element.getBoundingClientRect();
      const buttons = [...element.querySelectorAll('button, [role="button"], a, input[type=submit], input[type=button]')];
      return {
        about: about(element),
        text: reading(element.shadowRoot || element, 1500, visible).text,
        buttons: buttons.slice(0, 20).filter(visible).map(caption).filter(Boolean),
        share: Math.min(1, (rect.width * rect.height) / Math.max(1, innerWidth * innerHeight)),
        modal: element.matches('dialog:modal, [aria-modal="true"]'),
        selector: selector(element),
        box: box(element),
      };
    });
  }

  const all = roots();
  const pick = (/** @type {string} */ css) => all.flatMap((root) => [...root.querySelectorAll(css)]);
  const body = document.body ? reading(document.body, TEXT, visible) : { text: '', length: 0 };
  for (const root of all.slice(1)) {
    if (body.text.length < TEXT) body.text = `${body.text} ${reading(root, 1000, visible).text}`.trim();
  }
  return {
    visible: innerWidth > 2 && innerHeight > 2 && document.visibilityState !== 'prerender',
    url: location.href.slice(0, 2000),
    title: short(document.title, 200),
    language: short(document.documentElement?.lang, 12),
    text: body.text.slice(0, TEXT),
    length: body.length,
    links: document.links.length,
    headings: pick('h1, h2').slice(0, 12).filter(visible).map((each) => short(each.textContent)).filter(Boolean),
    forms: readForms(all),
    buttons: pick('button, [role="button"], input[type=submit], input[type=button]').slice(0, MOST.buttons)
      .filter(shown).map(caption).filter(Boolean),
    iframes: pick('iframe').slice(0, MOST.iframes)
      .map((each) => readPart(each, short(/** @type {any} */ (each).src || each.getAttribute('data-src'), 300), shown)),
    images: pick('img, input[type=image], canvas, audio').slice(0, MOST.images)
      .filter((each) => images.test(`${each.getAttribute('src') || ''} ${about(each)} ${each.getAttribute('alt') || ''}`))
      .slice(0, 10)
      .map((each) => readPart(each, short(`${each.getAttribute('src') || ''} ${each.getAttribute('alt') || ''}`, 200))),
    scripts: [...document.scripts].slice(0, MOST.scripts).map((each) => each.src.slice(0, 300)).filter(Boolean),
    marks: readMarks(all),
    overlays: readOverlays(all),
  };
})
