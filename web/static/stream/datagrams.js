// @ts-check
/**
 * The browser's end of the datagram way: reliable, ordered messages over datagrams that get lost. No DOM, no clock and
 * no channel of its own; `now` is in milliseconds of any steady clock. The wire is described in
 * streaming/datagrams/wire.py, the same in Python (for tests) is streaming/datagrams/reference.py.
 *
 *     const messages = end.hear(datagram, now)    a datagram came; the messages that are next in order
 *     for (const datagram of end.due(now)) …      after hear, send, loose and shown, and at end.nextAt()
 */

import { Assembly, parse } from './assembly.js';

const UP = 0x14;
const MAX_UP = 256 * 1024;
const FIRST = 1, LAST = 2, BYTES = 4;
const MAX_MAP = 64, MAX_ARRIVALS = 200, FURTHEST = 255, LATEST = 0xffffff;
const RECENT = 1024;

const FEEDBACK_EVERY = 22, SETTLE = 3, GAP_EVERY = 4, BEAT_EVERY = 500;
const SMALL = 300, QUICK_COPIES = [8, 30, 80], SLOW_COPY = 100, WINDOW = 64;
const LOOSE_COPIES = [20, 80];

const encoder = new TextEncoder();

// --- messages down -----------------------------------------------------------------------------------------------

/** @typedef {{number: number, data: string | Uint8Array}} Message */

/** The down half: puts messages together and says what came. */
export class Receiver {
  /** The last message delivered. */
  delivered;
  /** The last piece up that the server has taken. */
  pieces = 0;
  errors = 0;
  /** When feedback is due. */
  feedbackAt = Infinity;
  #assembly = new Assembly();
  #highest = 0;
  /** Which packets have come, by number modulo RECENT. */
  #recent = new Float64Array(RECENT);
  /** @type {{packet: number, at: number}[]} */
  #news = [];
  #toldAt = -Infinity;
  #span = 64;

  /** @param {number} [first] number of the first message */
  constructor(first = 1) {
    this.delivered = first - 1;
  }

  /** @param {Uint8Array} datagram @param {number} now @returns {Message[]} */
  hear(datagram, now) {
    const part = parse(datagram);
    if (!part) {
      this.errors++;
      return [];
    }
    this.#note(part.packet, now);
    this.pieces = Math.max(this.pieces, part.pieces);
    if (part.number <= this.delivered) return [];
    this.#assembly.take(part);
    return this.#ready();
  }

  /** Messages up to `number` came by the other way. @param {number} number @returns {Message[]} */
  advance(number) {
    for (const old of [...this.#assembly.messages.keys()]) if (old <= number) this.#assembly.drop(old);
    this.delivered = Math.max(this.delivered, number);
    return this.#ready();
  }

  /** Feedback is wanted soon. @param {number} now */
  hurry(now) {
    this.feedbackAt = Math.min(this.feedbackAt, Math.max(this.#toldAt + FEEDBACK_EVERY, now));
  }

  /** How many bytes the feedback will take, at most. */
  get room() {
    return this.#highest ? 14 + 4 * Math.min(this.#news.length, MAX_ARRIVALS) + MAX_MAP : 0;
  }

  /** Append the feedback. @param {Writer} writer @param {number} now @returns {boolean} whether there is any */
  feedback(writer, now) {
    if (!this.#highest) return false;
    const news = this.#news.sort((a, b) => b.packet - a.packet);
    const wanted = Math.min(Math.max(64, 3 * news.length), 8 * MAX_MAP);
    const span = Math.max(this.#span, wanted);
    this.#span = wanted;
    writer.u32(this.delivered).u32(this.#highest).u32(Math.round(now * 1000) % 2 ** 32);
    const counts = writer.length;
    writer.u8(0).u8(0);
    let previous = this.#highest, count = 0;
    for (const { packet, at } of news) {
      if (previous - packet > FURTHEST || count === MAX_ARRIVALS) break;
      writer.u8(previous - packet).u24(Math.min(Math.max(0, Math.round((now - at) * 1000)), LATEST));
      previous = packet;
      count++;
    }
    const map = this.#map(span);
    writer.bytes(map).set8(counts, count).set8(counts + 1, map.length);
    this.#news = [];
    this.#toldAt = now;
    this.feedbackAt = Infinity;
    return true;
  }

  /** @param {number} span */
  #map(span) {
    const map = new Uint8Array(span + 7 >> 3);
    let used = 0;
    for (let bit = 0; bit < span; bit++) {
      const packet = this.#highest - 1 - bit;
      if (packet < 1) break;
      if (this.#recent[packet % RECENT] !== packet) continue;
      map[bit >> 3] |= 1 << (bit & 7);
      used = (bit >> 3) + 1;
    }
    return map.subarray(0, used);
  }

  #ready() {
    /** @type {Message[]} */
    const ready = [];
    for (;;) {
      const incoming = this.#assembly.messages.get(this.delivered + 1);
      if (!incoming || incoming.missing) return ready;
      // the one before stays: sums of this one may need its cuts
      this.#assembly.drop(this.delivered);
      this.delivered++;
      ready.push({ number: this.delivered, data: incoming.message() });
    }
  }

  /** @param {number} packet @param {number} now */
  #note(packet, now) {
    if (!packet) return;
    const gap = this.#highest > 0 && packet > this.#highest + 1;
    this.#highest = Math.max(this.#highest, packet);
    this.#recent[packet % RECENT] = packet;
    if (this.#news.length < MAX_ARRIVALS) this.#news.push({ packet, at: now });
    const due = gap ? this.#toldAt + GAP_EVERY : Math.max(this.#toldAt + FEEDBACK_EVERY, now + SETTLE);
    this.feedbackAt = Math.min(this.feedbackAt, due);
  }
}

/** Bytes in network order. */
class Writer {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  /** @param {number} value */
  u8(value) { this.#view.setUint8(this.length, value); this.length += 1; return this; }
  /** @param {number} value */
  u16(value) { this.#view.setUint16(this.length, value); this.length += 2; return this; }
  /** @param {number} value */
  u24(value) { return this.u8(value >> 16).u16(value & 0xffff); }
  /** @param {number} value */
  u32(value) { this.#view.setUint32(this.length, value); this.length += 4; return this; }
  /** @param {Uint8Array} value */
  bytes(value) { this.#bytes.set(value, this.length); this.length += value.length; return this; }
  /** @param {number} at @param {number} value */
  set8(at, value) { this.#view.setUint8(at, value); return this; }
  take() { return this.#bytes.slice(0, this.length); }
}

// --- messages up -------------------------------------------------------------------------------------------------

/**
 * @typedef {{number: number, flags: number, body: Uint8Array, due: number, copies: number}} Piece
 * @typedef {{kind: number, sequence: number, after: number, body: Uint8Array, copies: number[]}} Loose
 */

/** The up half: every numbered message until it is acknowledged, loose ones as they come. */
export class UpSender {
  #next;
  #room;
  #piece = 0;
  /** @type {Piece[]} */
  #waiting = [];
  /** @type {Map<number, {last: number, data: string | Uint8Array}>} */
  #messages = new Map();
  #sequence = 0;
  /** @type {Map<number, Loose>} */
  #loose = new Map();

  /** @param {number} [first] number of the first message @param {number} [mtu] */
  constructor(first = 1, mtu = 1150) {
    this.#next = first;
    this.#room = mtu - 200;
  }

  /** Queue a message; its number, or 0 if it is too long for this way. @param {string | Uint8Array} data @param {number} now */
  send(data, now) {
    const bytes = typeof data === 'string' ? encoder.encode(data) : data;
    if (bytes.length > MAX_UP) return 0;
    const count = Math.max(1, Math.ceil(bytes.length / this.#room));
    for (let cut = 0; cut < count; cut++) {
      const flags = (cut ? 0 : FIRST) | (cut === count - 1 ? LAST : 0) | (typeof data === 'string' ? 0 : BYTES);
      const body = bytes.subarray(cut * this.#room, (cut + 1) * this.#room);
      this.#waiting.push({ number: ++this.#piece, flags, body, due: now, copies: 0 });
    }
    this.#messages.set(this.#next, { last: this.#piece, data });
    return this.#next++;
  }

  /** Send the newest of its kind (0..7; 0 is `move`). @param {number} kind @param {string} text @param {number} now */
  loose(kind, text, now) {
    this.#sequence = (this.#sequence + 1) % 65536;
    const copies = [now, ...LOOSE_COPIES.map((after) => now + after)];
    this.#loose.set(kind, { kind, sequence: this.#sequence, after: this.#piece, body: encoder.encode(text), copies });
  }

  /** The server has taken all pieces up to this one. @param {number} piece */
  taken(piece) {
    while (this.#waiting.length && this.#waiting[0].number <= piece) this.#waiting.shift();
    for (const [number, { last }] of this.#messages) if (last <= piece) this.#messages.delete(number);
  }

  /** What the server is not known to have taken, in order. @param {number} after @returns {Message[]} */
  undelivered(after) {
    return [...this.#messages].filter(([number]) => number > after).map(([number, { data }]) => ({ number, data }));
  }

  /** When something must be sent. */
  dueAt() {
    let due = Infinity;
    for (const one of this.#waiting.slice(0, WINDOW)) due = Math.min(due, one.due);
    for (const { copies } of this.#loose.values()) due = Math.min(due, copies[0]);
    return due;
  }

  /**
   * What goes into the next datagram of `room` bytes: if a piece is due, all that fit, those due first.
   * @param {number} now @param {number} room
   * @returns {{pieces: Piece[], loose: Loose[]}}
   */
  take(now, room) {
    const loose = this.#takeLoose(now);
    room -= 2 + loose.reduce((sum, one) => sum + one.body.length + 9, 0);
    const window = this.#waiting.slice(0, WINDOW);
    const due = window.filter((one) => one.due <= now);
    if (!due.length) return { pieces: [], loose };
    /** @type {Piece[]} */
    const pieces = [];
    for (const one of [...due, ...window.filter((other) => other.due > now)]) {
      if (one.body.length + 7 > room) continue;
      room -= one.body.length + 7;
      pieces.push(one);
      const steps = one.body.length <= SMALL ? QUICK_COPIES : [];
      const last = one.copies > 0 && one.copies <= steps.length ? steps[one.copies - 1] : 0;
      one.due = now + (one.copies < steps.length ? steps[one.copies] - last : SLOW_COPY);
      one.copies++;
    }
    return { pieces: pieces.sort((a, b) => a.number - b.number), loose };
  }

  /** @param {number} now */
  #takeLoose(now) {
    const due = [...this.#loose.values()].filter((one) => one.copies[0] <= now);
    for (const one of due) {
      one.copies.shift();
      if (!one.copies.length) this.#loose.delete(one.kind);
    }
    return due;
  }
}

// --- both --------------------------------------------------------------------------------------------------------

/** The browser's end of the way. */
export class BrowserEnd {
  #down;
  #up;
  #mtu;
  #sentAt;
  #heardAt;
  /** @type {{frame: number, tenths: number} | null} */
  #shown = null;

  /**
   * Begin with the numbers that the first message down and the first message up on this way have.
   * @param {number} now
   * @param {{firstDown?: number, firstUp?: number, mtu?: number}} [options]
   */
  constructor(now, { firstDown = 1, firstUp = 1, mtu = 1150 } = {}) {
    this.#down = new Receiver(firstDown);
    this.#up = new UpSender(firstUp, mtu);
    this.#mtu = mtu;
    this.#sentAt = now - BEAT_EVERY;
    this.#heardAt = now;
  }

  /**
   * Queue a numbered message, delivered once and in order; its number, or 0 if it is longer than 256 KiB: take the
   * socket then.
   * @param {string | Uint8Array} data @param {number} now
   */
  send(data, now) { return this.#up.send(data, now); }

  /**
   * Send an unnumbered message; of each kind (0..7) the newest replaces those before. Kind 0 is `move`: it is dropped
   * once a numbered message after it was delivered, and never overtakes one before it.
   * @param {number} kind @param {string} text @param {number} now
   */
  loose(kind, text, now) { this.#up.loose(kind, text, now); }

  /** A frame is on the canvas; stands for the `ack` message. @param {number} frame @param {number} decodeMs @param {number} now */
  shown(frame, decodeMs, now) {
    this.#shown = { frame, tenths: Math.min(Math.max(0, Math.round(decodeMs * 10)), 0xffff) };
    this.#down.hurry(now);
  }

  /** Take a datagram; the messages that are next in order. @param {Uint8Array} datagram @param {number} now */
  hear(datagram, now) {
    const errors = this.#down.errors;
    const messages = this.#down.hear(datagram, now);
    if (this.#down.errors === errors) this.#heardAt = now;
    this.#up.taken(this.#down.pieces);
    return messages;
  }

  /** Messages down up to `number` came by the other way; those that are next now. @param {number} number */
  advance(number) { return this.#down.advance(number); }

  /** The datagrams to send now. @param {number} now @returns {Uint8Array[]} */
  due(now) {
    const datagrams = [];
    for (let round = 0; round < 8; round++) {
      const tell = now >= this.#sentAt + BEAT_EVERY || now >= this.#down.feedbackAt;
      if (!tell && this.#up.dueAt() > now) break;
      datagrams.push(this.#datagram(now));
      this.#sentAt = now;
    }
    return datagrams;
  }

  /** @param {number} now */
  #datagram(now) {
    const { pieces, loose } = this.#up.take(now, this.#mtu - 8 - this.#down.room);
    const writer = new Writer();
    let sections = 0;
    writer.u8(UP).u8(0);
    if (this.#down.feedback(writer, now)) sections |= 1;
    if (this.#shown) {
      sections |= 2;
      writer.u32(this.#shown.frame).u16(this.#shown.tenths);
    }
    if (pieces.length) {
      sections |= 4;
      writer.u8(pieces.length);
      for (const { number, flags, body } of pieces) writer.u32(number).u8(flags).u16(body.length).bytes(body);
    }
    if (loose.length) {
      sections |= 8;
      writer.u8(loose.length);
      for (const { kind, sequence, after, body } of loose) writer.u8(kind).u16(sequence).u32(after).u16(body.length).bytes(body);
    }
    return writer.set8(1, sections).take();
  }

  /** When to call `due` next. */
  nextAt() { return Math.min(this.#sentAt + BEAT_EVERY, this.#down.feedbackAt, this.#up.dueAt()); }

  /** Milliseconds since the last valid datagram of the server (which speaks each 500 ms at least). @param {number} now */
  silentFor(now) { return now - this.#heardAt; }

  /** What the server is not known to have taken, or, when it says what it has had, what came after. @param {number} [after] */
  undelivered(after = 0) { return this.#up.undelivered(after); }

  /** The last message down that was delivered; say it to the server when the way changes. */
  get delivered() { return this.#down.delivered; }

  /** Datagrams dropped because they broke the format. */
  get errors() { return this.#down.errors; }
}
