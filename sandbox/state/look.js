// Runs in Baton's isolated world, like page.js. Reads what the document shows (roles, accessible names, fields) in one
// pass, and from the first look on notes when which part of it moves. Evaluates to an object with its operations.
((config, page) => {
  if (globalThis.__batonLook) return globalThis.__batonLook;

  // A form or an image can be named like any property of its document or form, and then answers in its place. So what
  // is asked of nodes that the page made is taken from the prototypes, which are this world's own.
  const getter = (owner, name) => Function.prototype.call.bind(Object.getOwnPropertyDescriptor(owner.prototype, name).get);
  const method = (owner, name) => Function.prototype.call.bind(owner.prototype[name]);
  const typeOf = getter(Node, 'nodeType');
  const firstOf = getter(Node, 'firstChild');
  const lastOf = getter(Node, 'lastChild');
  const nextOf = getter(Node, 'nextSibling');
  const previousOf = getter(Node, 'previousSibling');
  const parentOf = getter(Node, 'parentNode');
  const parentElementOf = getter(Node, 'parentElement');
  const textOf = getter(Node, 'textContent');
  const rootOf = method(Node, 'getRootNode');
  const tagOf = getter(Element, 'localName');
  const shadowOf = getter(Element, 'shadowRoot');
  const attribute = method(Element, 'getAttribute');
  const has = method(Element, 'hasAttribute');
  const visible = method(Element, 'checkVisibility');
  const find = method(Document, 'querySelector');

  const setOf = (name) => new Set(config[name]);
  const fieldRoles = setOf('fields');
  const ticked = setOf('ticked');
  const live = setOf('live');
  const fromContent = setOf('fromContent');
  const reported = setOf('reported');
  const textInputs = setOf('textInputs');
  const inline = setOf('inline');
  const hides = setOf('hides');
  const blocks = new Set(['br', 'p', 'div', 'li', 'td', 'tr']);
  const headings = new Set(['h1', 'h2', 'h3', 'h4', 'h5', 'h6']);
  const inputRoles = new Map(Object.entries(config.inputs));
  const tagRoles = new Map(Object.entries(config.tags));
  const mayHost = setOf('mayHost');
  const ELEMENT = 1;
  const TEXT = 3;
  const MOST_TIMES = 32;
  const FIRST_TIMES = 8;
  const MOST_REMOVED = 2000;
  const MOST_RECORDS = 200000;
  const TOGETHER_MS = 40;

  const ids = new WeakMap();
  let nextId = 0;
  const idOf = (node) => {
    let id = ids.get(node);
    if (!id) ids.set(node, (id = nextId += 1));
    return id;
  };
  const squeeze = (text) => text.replace(/\s+/g, ' ').trim();

  // What moves. Times are of performance.now(); a list of times belongs to a node and everything that it shows.
  let moves = new WeakMap();
  let shifts = new WeakMap();
  let born = new WeakMap();
  let gone = new Map();
  let records = 0;
  let observer = null;
  let observed = new WeakSet();

  function timesOf(node, kept = moves) {
    let times = kept.get(node);
    if (!times) kept.set(node, (times = []));
    return times;
  }

  function note(node, now, kept = moves) {
    const times = timesOf(node, kept);
    if (times.length && now - times[times.length - 1] < TOGETHER_MS) return;
    if (times.length >= MOST_TIMES) times.splice(FIRST_TIMES, 1);
    times.push(now);
  }

  // The nearest element that was reported moves when something inside it does.
  function noteReported(node, now) {
    for (let at = node, up = 0; at && up < 8; at = parentOf(at) ?? at.host, up += 1) {
      if (ids.has(at)) {
        if (at !== node) note(at, now);
        return;
      }
    }
  }

  function noteGone(node, now, times) {
    const stack = [node];
    while (stack.length && gone.size < MOST_REMOVED) {
      const at = stack.pop();
      if (ids.has(at)) gone.set(ids.get(at), [now, times]);
      for (let child = firstOf(at); child; child = nextOf(child)) stack.push(child);
      if (typeOf(at) === ELEMENT && shadowOf(at)) stack.push(shadowOf(at));
    }
  }

  function onMutations(list) {
    const now = performance.now();
    records += list.length;
    if (records > MOST_RECORDS) {
      rest();
      return;
    }
    for (const record of list) {
      const { target } = record;
      note(target, now);
      noteReported(target, now);
      if (record.type === 'attributes') note(target, now, shifts);
      if (record.type !== 'childList') continue;
      for (const node of record.addedNodes) born.set(node, [now, timesOf(target)]);
      for (const node of record.removedNodes) noteGone(node, now, timesOf(target));
    }
  }

  function watch(root) {
    if (!observer || observed.has(root)) return;
    observed.add(root);
    observer.observe(root, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
      attributeFilter: config.watched,
    });
  }

  function begin() {
    observer?.disconnect();
    moves = new WeakMap();
    shifts = new WeakMap();
    born = new WeakMap();
    gone = new Map();
    observed = new WeakSet();
    records = 0;
    observer = new MutationObserver(onMutations);
  }

  const editable = (element) => {
    const value = attribute(element, 'contenteditable');
    return value !== null && value.toLowerCase() !== 'false';
  };

  function roleOf(element, tag) {
    const given = attribute(element, 'role');
    if (given) {
      for (const token of given.toLowerCase().split(/\s+/)) {
        if (reported.has(token)) return token;
        if (token === 'presentation' || token === 'none' || token === 'generic') return '';
      }
    }
    if (tag === 'input') {
      const kind = (attribute(element, 'type') || '').toLowerCase();
      return inputRoles.get(kind) ?? (has(element, 'list') ? 'combobox' : 'textbox');
    }
    if (tag === 'a' || tag === 'area') return has(element, 'href') ? 'link' : '';
    if (tag === 'img') return (attribute(element, 'alt') || '').trim() ? 'img' : '';
    if (tag === 'select') return element.multiple || element.size > 1 ? 'listbox' : 'combobox';
    return tagRoles.get(tag) ?? (editable(element) ? 'textbox' : '');
  }

  const boxed = (element) => visible(element) || getComputedStyle(element).display === 'contents';
  const unseen = (element) => !visible(element, { visibilityProperty: true });

  // The text that a node shows, alternatives of pictures included; nothing of what is typed.
  function content(node, limit = 400) {
    let found = '';
    const stack = [node];
    while (stack.length && found.length < limit) {
      const at = stack.pop();
      if (typeOf(at) === TEXT) {
        const around = parentElementOf(at);
        if (!around || !unseen(around) || getComputedStyle(around).display === 'contents') found += at.data;
        continue;
      }
      if (typeOf(at) === ELEMENT) {
        const tag = tagOf(at);
        if (hides.has(tag) || (at !== node && (tag === 'textarea' || tag === 'select')) || !boxed(at)) continue;
        if (tag === 'img' || tag === 'area') found += ` ${attribute(at, 'alt') || ''} `;
        if (blocks.has(tag)) found += ' ';
      }
      for (let child = lastOf(at); child; child = previousOf(child)) stack.push(child);
      if (typeOf(at) === ELEMENT && shadowOf(at)) stack.push(shadowOf(at));
    }
    return squeeze(found).slice(0, limit);
  }

  const hidden = (element) => (boxed(element) ? content(element) : squeeze(textOf(element)).slice(0, 400));

  function labelled(element) {
    const named = attribute(element, 'aria-labelledby');
    if (!named) return '';
    const root = rootOf(element);
    const texts = named.split(/\s+/).map((id) => id && root.getElementById?.(id));
    return texts.map((at) => (at ? hidden(at) : '')).filter(Boolean).join(' ');
  }

  function fieldLabel(element) {
    for (const label of page.labelsOf(element)) {
      const text = content(label);
      if (text) return text;
    }
    const given = (name) => attribute(element, name);
    return given('placeholder') || given('aria-placeholder') || given('title') || '';
  }

  function firstHeading(element) {
    const heading = element.querySelector('h1, h2, h3, h4, h5, h6');
    return heading ? content(heading) : content(element, 80);
  }

  function nameOf(element, tag, role) {
    const given = (name) => attribute(element, name) || '';
    let named = labelled(element) || squeeze(given('aria-label'));
    if (named) return named;
    if (ticked.has(role) && tag !== 'input') named = content(element);
    else if (fieldRoles.has(role)) named = fieldLabel(element);
    else if (tag === 'input') {
      const kind = given('type').toLowerCase();
      named = given('alt') || given('value') || config.buttons[kind] || '';
    } else if (tag === 'img' || tag === 'area') named = given('alt');
    else if (role === 'dialog') named = firstHeading(element);
    else if (fromContent.has(role) || live.has(role)) named = content(element);
    return squeeze(named || given('title'));
  }

  const tick = (on) => (on ? 'checked' : 'unchecked');
  const optionText = (option) => option.getAttribute('label') || squeeze(option.textContent);

  // What a field holds, and what the page gave it at first.
  function valueOf(element, tag, role) {
    if (ticked.has(role)) {
      if (tag === 'input') return [tick(element.checked), tick(element.defaultChecked)];
      const state = tick((attribute(element, 'aria-checked') || '').toLowerCase() === 'true');
      return [state, state];
    }
    if (tag === 'input') {
      if (role !== 'file') return [element.value, element.defaultValue];
      return [[...element.files].map((file) => file.name).join(', '), ''];
    }
    if (tag === 'textarea') return [element.value, element.defaultValue];
    if (tag === 'select') {
      const options = [...element.options];
      const given = options.filter((option) => option.defaultSelected);
      const first = given.length || element.multiple ? given : options.slice(0, 1);
      return [[...element.selectedOptions].map(optionText).join(', '), first.map(optionText).join(', ')];
    }
    const text = squeeze(textOf(element));
    return [text, text];
  }

  // A shadow root that the page hides shows by nothing; it may be in a custom element, or where there is nothing else.
  // Each such element is asked about once, the likeliest first.
  const asked = new WeakSet();
  let hosts = [];
  function mayHide(element, tag) {
    if (shadowOf(element) || asked.has(element)) return;
    if (tag.includes('-')) hosts.push([0, element]);
    else if (mayHost.has(tag) && !firstOf(element)) hosts.push([element.offsetHeight ? 1 : 2, element]);
  }

  const look = (options) => page.withLabels(() => read(options));

  function read(options) {
    if (options.begin) begin();
    hosts = [];
    const elements = [];
    const fields = [];
    const lists = [];
    const listed = new Map();
    const known = new Map();
    const texts = new Map();
    const left = {};
    const leave = (what, count) => (left[what] = (left[what] || 0) + count);
    let seen = 0;
    let room = options.bytes;

    const spend = (size) => {
      room -= size + 40;
      if (room < 0) leave('elements', 1);
      return room >= 0;
    };
    const listOf = (times) => {
      if (!times?.length) return -1;
      if (!listed.has(times)) {
        listed.set(times, lists.length);
        lists.push(times.map(Math.round));
      }
      return listed.get(times);
    };
    const report = (role, name, node, context) => {
      if (!spend(name.length)) return;
      const own = moves.get(node) || context.shifted;
      const birth = context.born;
      elements.push([
        role, name.slice(0, options.longest), idOf(node), listOf(own), birth ? Math.round(birth[0]) : -1, birth ? listOf(birth[1]) : -1,
      ]);
    };
    const reportField = (element, tag, role, label) => {
      const [value, first] = valueOf(element, tag, role);
      const kind = tag === 'input' ? element.type : '';
      const typed = role !== 'file' && !ticked.has(role) && tag !== 'select' && (tag !== 'input' || textInputs.has(kind));
      const secret = typed && (page.secret(element) || page.telling(label));
      const shown = secret ? '' : value.slice(0, options.longest);
      if (!spend(shown.length + label.length)) return;
      fields.push([label.slice(0, options.longest), role, idOf(element), secret, typed, value !== '', value === first, page.hash(value), shown]);
    };

    const start = { named: false, shown: true, block: document, born: null, shifted: null };
    const stack = [];
    const push = (node, context) => {
      for (let child = lastOf(node); child; child = previousOf(child)) stack.push(child, context);
    };
    const enter = (root, context) => {
      watch(root);
      push(root, context);
    };
    enter(document, start);
    for (const root of page.closedRoots) if (root.isConnected) enter(root, { ...start, block: root.host });

    while (stack.length) {
      let context = stack.pop();
      const node = stack.pop();
      if (seen >= options.nodes) {
        leave('nodes', Math.max(1, new XPathEvaluator().evaluate('count(//node())', document, null, 1).numberValue - seen));
        break;
      }
      seen += 1;
      if (typeOf(node) === TEXT) {
        if (context.named || !context.shown || !/\S/.test(node.data)) continue;
        const birth = born.get(node) || context.born;
        const part = texts.get(context.block);
        if (part) {
          part.text += `${node.data} `;
          part.context.born ??= birth;
        } else texts.set(context.block, { text: `${node.data} `, context: { ...context, born: birth } });
        continue;
      }
      if (typeOf(node) !== ELEMENT) continue;
      const tag = tagOf(node);
      if (hides.has(tag)) continue;
      const shown = !unseen(node);
      const birth = born.get(node);
      const shifted = shifts.get(node) || context.shifted;
      if (!shown && !boxed(node)) {
        if (shifted) noteGone(node, shifted[shifted.length - 1], shifted);
        continue;
      }
      const block = inline.has(tag) ? context.block : node;
      const inside = { named: context.named, shown, block, born: birth || context.born, shifted };
      const role = attribute(node, 'aria-hidden') === 'true' ? null : roleOf(node, tag);
      if (role === null) inside.named = true;
      else if (role) {
        const isField = fieldRoles.has(role);
        if (shown) {
          const label = nameOf(node, tag, role);
          report(role, label, node, inside);
          if (isField) reportField(node, tag, role, label || attribute(node, 'name') || attribute(node, 'id') || '');
        }
        if (role !== 'dialog' && role !== 'alertdialog') inside.named = true;
        if (isField && (tag === 'textarea' || tag === 'select' || editable(node))) continue;
      }
      mayHide(node, tag);
      push(node, inside);
      if (shadowOf(node)) enter(shadowOf(node), inside);
    }
    for (const [block, part] of texts) report('text', squeeze(part.text), block, part.context);
    for (const [id, [at, times]] of gone) known.set(id, [Math.round(at), listOf(times)]);
    return JSON.stringify({
      elements, fields, lists, left, gone: [...known].map(([id, what]) => [id, ...what]), hosts: hosts.length,
      origin: performance.timeOrigin,       refresh: find(document, 'meta[http-equiv="refresh" i]') !== null,
      stores: page.storage(options.keys),
    });
  }

  function takeHosts(most) {
    const taken = hosts.sort((a, b) => a[0] - b[0]).slice(0, most).map(([, element]) => element);
    for (const element of taken) asked.add(element);
    return taken;
  }

  // What was noted is kept; nothing more is.
  function rest() {
    observer?.disconnect();
    observer = null;
  }

  globalThis.__batonLook = { look, takeHosts, rest };
  return globalThis.__batonLook;
})
