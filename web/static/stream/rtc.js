// @ts-check
/**
 * The two ways of one viewer: its WebSocket, and datagrams (a WebRTC data channel) when the server is far away.
 *
 *     const ways = new Ways(url);      // used as a WebSocket is, arraybuffers for what is binary
 *     ways.onmessage = ({ data }) => …
 *
 * It begins on the socket. When the first round trips take `FAR_MS` or more, datagrams are tried beside it, kept while
 * they are no slower, and left for the socket within a second when they fall silent; after a while they are tried again.
 * `?way=socket` in the address of the socket or of the page forbids that, `?way=datagrams` tries at once and keeps them
 * however fast. Messages are numbered in both directions (see streaming/rtc/ways.py), so that moving to the other way
 * loses and doubles nothing. A browser without WebRTC stays on the socket.
 */

import { BrowserEnd } from './datagrams.js';

const FAR_MS = 20;
const SAMPLES = 3;
const SILENT_MS = 1000;
const TRY_MS = 8000;
const GATHER_MS = 500;
const RETRY_MS = 5000;
const LONGEST_RETRY_MS = 600000;
const WORSE_RETRY_MS = 300000;
/** Datagrams that lasted so long are trusted again as at the beginning. */
const STEADY_MS = 30000;
const MAX_EARLY = 2000;
const FULL_BYTES = 65536;
const KIND = /^\{"t":"(\w+)"/;
/** Messages of which only the newest counts, with the kind that datagrams know them by. */
const LOOSE = new Map([['move', 0], ['ping', 1]]);

/** @typedef {{data: string | ArrayBuffer}} Heard */

export class Ways {
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((message: Heard) => void) | null} */
  onmessage = null;
  /** @type {((close: {code: number, reason: string}) => void) | null} */
  onclose = null;
  #socket;
  #forced = false;
  #forbidden = false;
  #up = 0;
  #had = 0;
  #socketDown = 0;
  /** @type {Map<number, string | ArrayBuffer>} */
  #held = new Map();
  /** @type {BrowserEnd | null} */
  #end = null;
  /** @type {RTCPeerConnection | null} */
  #peer = null;
  /** @type {RTCDataChannel | null} */
  #channel = null;
  #attempt = 0;
  /** What is said between the word to begin and the server's, said again by datagrams. @type {{first: number, sent: string[], early: Uint8Array[]} | null} */
  #going = null;
  /** Until it fires nothing is tried. @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  #retryMs = RETRY_MS;
  #beganAt = 0;
  #pingAt = 0;
  /** @type {{socket: number[], datagrams: number[]}} */
  #rtts = { socket: [], datagrams: [] };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #trying;

  /** @param {URL} url of the socket */
  constructor(url) {
    const wanted = url.searchParams.get('way') ?? new URLSearchParams(location.search).get('way');
    const address = new URL(url);
    if (wanted === 'socket' || wanted === 'datagrams') address.searchParams.set('way', wanted);
    this.#forced = wanted === 'datagrams';
    this.#forbidden = wanted === 'socket' || typeof RTCPeerConnection === 'undefined';
    this.#socket = new WebSocket(address);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => this.onopen?.();
    this.#socket.onmessage = ({ data }) => this.#hear(data);
    this.#socket.onclose = ({ code, reason }) => {
      this.#drop();
      this.onclose?.({ code, reason });
    };
  }

  get readyState() {
    return this.#socket.readyState;
  }

  /** Which way messages take now, and the best round trip seen lately on each, in milliseconds (null: none yet). */
  get stats() {
    return { way: this.#end ? 'datagrams' : 'socket', socketRtt: least(this.#rtts.socket), datagramsRtt: least(this.#rtts.datagrams) };
  }

  /** @param {string} text one JSON object */
  send(text) {
    const kind = KIND.exec(text)?.[1] ?? '';
    const now = performance.now();
    if (kind === 'ping') this.#pingAt = now;
    if (this.#end && this.#sendDatagrams(this.#end, kind, text, now)) {
      this.#pump();
      return;
    }
    this.#socket.send(text);
    if (kind === 'ack' || LOOSE.has(kind)) return;
    this.#up++;
    this.#going?.sent.push(text);
  }

  /**
   * False when it is too long for datagrams: then it goes by the socket, and all after it.
   * @param {BrowserEnd} end
   * @param {string} kind
   * @param {string} text
   * @param {number} now
   */
  #sendDatagrams(end, kind, text, now) {
    const loose = LOOSE.get(kind);
    if (loose !== undefined) {
      end.loose(loose, text, now);
    } else if (kind === 'ack') {
      const { f, d = 0 } = JSON.parse(text);
      end.shown(f, d, now);
    } else {
      const number = end.send(text, now);
      if (number) this.#up = number;
      else this.#leave();
      return number > 0;
    }
    return true;
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    this.#drop();
    this.#socket.close(code, reason);
  }

  // -- down -----------------------------------------------------------------------------------------------------

  /** @param {string | ArrayBuffer} data from the socket */
  #hear(data) {
    if (typeof data === 'string' && (data.startsWith('{"t":"rtc"') || data.startsWith('{"t":"way"'))) {
      const message = JSON.parse(data);
      if (message.t === 'rtc') this.#signal(message);
      else if (message.kind === 'datagrams') this.#begin(message);
      else this.#follow(message);
      return;
    }
    this.#take(++this.#socketDown, data);
    if (this.#forced && !this.#end) this.#maybeTry();
  }

  /**
   * Hand on the message when it is the next, hold it until it is, drop it when it was.
   * @param {number} number
   * @param {string | ArrayBuffer} data
   */
  #take(number, data) {
    if (number <= this.#had) return;
    this.#held.set(number, data);
    for (let next = this.#held.get(this.#had + 1); next !== undefined; next = this.#held.get(this.#had + 1)) {
      this.#held.delete(++this.#had);
      if (typeof next === 'string' && next.startsWith('{"t":"pong"')) this.#timed();
      this.onmessage?.({ data: next });
    }
  }

  #timed() {
    const rtts = this.#end ? this.#rtts.datagrams : this.#rtts.socket;
    rtts.push(performance.now() - this.#pingAt);
    if (rtts.length > SAMPLES) rtts.shift();
    const [socket, datagrams] = [least(this.#rtts.socket), least(this.#rtts.datagrams)];
    if (!this.#end) {
      this.#maybeTry();
    } else if (!this.#forced && rtts.length === SAMPLES && socket !== null && datagrams !== null && datagrams > socket * 1.5 + FAR_MS) {
      this.#retryMs = WORSE_RETRY_MS;
      this.#leave();
    }
  }

  // -- the way to datagrams -------------------------------------------------------------------------------------

  #maybeTry() {
    const near = (least(this.#rtts.socket) ?? 0) < FAR_MS;
    if (this.#forbidden || this.#peer || this.#trying !== undefined || this.#retry !== undefined || (near && !this.#forced)) return;
    this.#attempt++;
    this.#trying = setTimeout(() => this.#give('no datagram came through'), TRY_MS);
    this.#socket.send('{"t":"rtc"}');
  }

  /** @param {{servers?: RTCIceServer[] | null, answer?: string | null}} message */
  #signal({ servers, answer }) {
    if (servers === null) this.#forbidden = true;
    if (servers === null || answer === null) this.#give('the server offers none');
    else if (servers && this.#trying !== undefined && !this.#peer) this.#offer(servers).catch(error => this.#give(String(error)));
    else if (answer) this.#peer?.setRemoteDescription({ type: 'answer', sdp: answer }).catch(error => this.#give(String(error)));
  }

  /** @param {RTCIceServer[]} iceServers */
  async #offer(iceServers) {
    const peer = new RTCPeerConnection({ iceServers });
    const channel = peer.createDataChannel('baton', { ordered: false, maxRetransmits: 0, negotiated: true, id: 0 });
    this.#peer = peer;
    this.#channel = channel;
    channel.binaryType = 'arraybuffer';
    channel.bufferedAmountLowThreshold = FULL_BYTES / 2;
    channel.onopen = () => { if (peer === this.#peer) this.#go(); };
    channel.onclose = () => { if (peer === this.#peer) this.#give('the channel closed'); };
    channel.onbufferedamountlow = () => { if (peer === this.#peer) this.#pump(); };
    channel.onmessage = ({ data }) => { if (peer === this.#peer) this.#arrived(new Uint8Array(data)); };
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    if (peer === this.#peer) this.#socket.send(JSON.stringify({ t: 'rtc', offer: peer.localDescription?.sdp }));
  }

  #go() {
    this.#going = { first: this.#up + 1, sent: [], early: [] };
    this.#socket.send(JSON.stringify({ t: 'way', kind: 'datagrams', try: this.#attempt, from: this.#going.first }));
  }

  /** @param {{from: number, try: number}} message the server's messages come by datagrams from that number on */
  #begin(message) {
    const going = this.#going;
    if (!going || message.try !== this.#attempt) return;
    clearTimeout(this.#trying);
    this.#trying = undefined;
    this.#going = null;
    const now = performance.now();
    this.#end = new BrowserEnd(now, { firstDown: message.from, firstUp: going.first });
    this.#beganAt = now;
    this.#rtts.datagrams = [];
    for (const text of going.sent) this.#end.send(text, now);
    for (const datagram of going.early) this.#arrived(datagram);
    this.#pump();
  }

  /** @param {Uint8Array} datagram */
  #arrived(datagram) {
    if (this.#end) {
      for (const { number, data } of this.#end.hear(datagram, performance.now())) {
        this.#take(number, typeof data === 'string' ? data : /** @type {ArrayBuffer} */ (data.buffer));
      }
      this.#pump();
    } else if (this.#going && this.#going.early.length < MAX_EARLY) {
      this.#going.early.push(datagram);
    }
  }

  #pump() {
    const [end, channel] = [this.#end, this.#channel];
    clearTimeout(this.#timer);
    if (!end || !channel) return;
    const now = performance.now();
    if (end.silentFor(now) > SILENT_MS || channel.readyState !== 'open') {
      this.#leave();
      return;
    }
    if (channel.bufferedAmount < FULL_BYTES) for (const datagram of end.due(now)) channel.send(/** @type {Uint8Array<ArrayBuffer>} */ (datagram));
    this.#timer = setTimeout(() => this.#pump(), Math.max(0, end.nextAt() - now));
  }

  // -- the way back ---------------------------------------------------------------------------------------------

  /** @param {{from: number, had: number}} message the server's messages follow on the socket from that number on */
  #follow({ from, had }) {
    this.#socketDown = from - 1;
    if (this.#end || this.#going) this.#leave(had);
  }

  /** @param {number} [had] what the server says that it has had */
  #leave(had) {
    const now = performance.now();
    const again = this.#end?.undelivered(had) ?? [];
    const said = this.#end !== null || this.#going !== null;
    if (this.#end && now - this.#beganAt > STEADY_MS) this.#retryMs = RETRY_MS;
    this.#drop();
    this.#retry = setTimeout(() => { this.#retry = undefined; this.#maybeTry(); }, this.#retryMs);
    // where no datagram ever came through, none is likely to
    this.#retryMs = Math.min(this.#retryMs * (said ? 2 : 4), LONGEST_RETRY_MS);
    if (!said || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ t: 'way', kind: 'socket', from: again[0]?.number ?? this.#up + 1, had: this.#had }));
    for (const { data } of again) this.#socket.send(data);
  }

  /** @param {string} why a try that came to nothing, for whoever looks at the console */
  #give(why) {
    console.debug('datagrams:', why);
    this.#leave();
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#trying);
    clearTimeout(this.#retry);
    this.#trying = this.#retry = undefined;
    this.#end = this.#going = this.#channel = null;
    const peer = this.#peer;
    this.#peer = null;
    peer?.close();
  }
}

/** @param {number[]} values */
function least(values) {
  return values.length ? Math.round(Math.min(...values) * 10) / 10 : null;
}

/**
 * Wait for the browser's own candidates, not long: what comes later is found by the checks themselves.
 * @param {RTCPeerConnection} peer
 */
function gathered(peer) {
  return new Promise(done => {
    const look = () => { if (peer.iceGatheringState === 'complete') done(undefined); };
    peer.addEventListener('icegatheringstatechange', look);
    setTimeout(done, GATHER_MS);
    look();
  });
}
