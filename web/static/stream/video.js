// @ts-check
/**
 * The moving parts of the picture: one `VideoDecoder` for each H.264 stream, JPEG through `createImageBitmap`.
 * What comes out is handed on at once; who gets it closes it.
 */

const WANTED = { 'h264-444': 'avc1.F40029', h264: 'avc1.42C029' };
/** How many streams there are at most at once. */
const STREAMS = 4;
const SPARE = 4;

/**
 * How this browser can show moving parts, best first, as the `hello` of the protocol lists it.
 * @returns {Promise<string[]>}
 */
export async function capabilities() {
  const found = [];
  if ('VideoDecoder' in globalThis) {
    for (const [kind, codec] of Object.entries(WANTED)) {
      try {
        const { supported } = await VideoDecoder.isConfigSupported(config(codec));
        if (supported) found.push(kind);
      } catch { /* this kind is unknown here */ }
    }
  }
  return [...found, 'jpeg'];
}

/**
 * @param {string} codec
 * @returns {VideoDecoderConfig}
 */
function config(codec) {
  return { codec, optimizeForLatency: true, hardwareAcceleration: 'prefer-software' };
}

/**
 * The codec string of an H.264 key picture in Annex B, from its sequence parameter set (RFC 6381, 3.3), and that set's
 * place: another set means another size or form, and so another decoder.
 * @param {Uint8Array} data
 * @returns {{codec: string, set: Uint8Array} | null} null when it has none
 */
export function parameters(data) {
  for (let at = 0; at + 6 < data.length; at++) {
    if (data[at] || data[at + 1] || data[at + 2] !== 1 || (data[at + 3] & 31) !== 7) continue;
    let end = at + 7;
    while (end < data.length && (data[end] || data[end + 1] || (data[end + 2] ?? 0) > 1)) end++;
    const hex = [...data.subarray(at + 4, at + 7)].map(byte => byte.toString(16).padStart(2, '0')).join('');
    return { codec: `avc1.${hex.toUpperCase()}`, set: data.subarray(at + 4, end) };
  }
  return null;
}

/** @typedef {VideoFrame | ImageBitmap | ImageData} Decoded */
/** @typedef {(picture: Decoded) => void} Done */
/** @typedef {{decoder: VideoDecoder, set: Uint8Array, waiting: Map<number, Done>, replaced: boolean}} Stream */

/** The decoders of one viewer. */
export class Videos {
  /** @type {Map<number, Stream>} the one used last is the last */
  #streams = new Map();
  #failed;
  #turn = 0;
  #count = 0;
  /** Whether this browser turns pictures into RGB by itself: drawing a VideoFrame on a canvas takes ten times as long. */
  #converts = true;
  /** @type {ImageData[]} to be used again */
  #spare = [];

  /** @param {(error: unknown) => void} failed a picture that was promised will not come; nothing of this one comes after it */
  constructor(failed) {
    this.#failed = failed;
  }

  /**
   * Begin to decode one picture.
   * @param {import('./frames.js').Video} video
   * @param {Done} done called later, never at once; not at all when it fails or was dropped
   * @throws {Error} when a decoder refuses it, or a stream begins without a key picture
   */
  decode(video, done) {
    if (video.jpeg) this.#jpeg(video, done);
    else this.#h264(video, done);
  }

  /** @param {Decoded} picture is painted, or dropped */
  free(picture) {
    if (!(picture instanceof ImageData)) picture.close();
    else if (this.#spare.length < SPARE) this.#spare.push(picture);
  }

  /** Forget every stream and every picture that has not come yet. */
  drop() {
    this.#turn++;
    for (const stream of this.#streams.values()) end(stream);
    this.#streams.clear();
  }

  /**
   * @param {import('./frames.js').Video} video
   * @param {Done} done
   */
  async #jpeg(video, done) {
    const turn = this.#turn;
    try {
      const bitmap = await createImageBitmap(new Blob([video.data], { type: 'image/jpeg' }));
      if (turn === this.#turn) done(bitmap);
      else bitmap.close();
    } catch (error) {
      if (turn === this.#turn) this.#failed(error);
    }
  }

  /**
   * @param {import('./frames.js').Video} video
   * @param {Done} done
   */
  #h264({ stream: number, key, data }, done) {
    const had = this.#streams.get(number);
    const found = key ? parameters(data) : null;
    const fits = had && had.decoder.state === 'configured' && (!found || same(had.set, found.set));
    if (!fits && !found) throw new Error(`stream ${number} does not begin with a key picture`);
    const stream = fits ? had : this.#open(/** @type {{codec: string, set: Uint8Array}} */ (found));
    if (had && had !== stream) retire(had);
    this.#streams.delete(number);
    this.#streams.set(number, stream);
    this.#bound();
    const count = ++this.#count;
    stream.waiting.set(count, done);
    // the time stamp is only carried through: the picture finds its frame by it
    stream.decoder.decode(new EncodedVideoChunk({ type: key ? 'key' : 'delta', timestamp: count, data }));
  }

  /**
   * @param {VideoFrame} picture
   * @param {Done} done
   * @param {number} turn
   */
  async #hand(picture, done, turn) {
    const pixels = this.#converts ? await this.#convert(picture) : picture;
    if (turn === this.#turn) done(pixels);
    else this.free(pixels);
  }

  /**
   * @param {VideoFrame} picture is closed when something else is returned
   * @returns {Promise<Decoded>}
   */
  async #convert(picture) {
    const [width, height] = [picture.displayWidth, picture.displayHeight];
    const at = this.#spare.findIndex(one => one.width === width && one.height === height);
    const pixels = at < 0 ? new ImageData(width, height) : this.#spare.splice(at, 1)[0];
    try {
      // @ts-ignore `format` is younger than the library's types
      await picture.copyTo(pixels.data, { format: 'RGBA' });
    } catch {
      this.#converts = false;
      return picture;
    }
    picture.close();
    return pixels;
  }

  #bound() {
    if (this.#streams.size <= STREAMS) return;
    const [[oldest, stream]] = this.#streams;
    this.#streams.delete(oldest);
    retire(stream);
  }

  /**
   * @param {{codec: string, set: Uint8Array}} found
   * @returns {Stream}
   */
  #open({ codec, set }) {
    const turn = this.#turn;
    /** @type {Map<number, Done>} */
    const waiting = new Map();
    const decoder = new VideoDecoder({
      output: picture => {
        const done = waiting.get(picture.timestamp);
        waiting.delete(picture.timestamp);
        if (done && turn === this.#turn) this.#hand(picture, done, turn);
        else picture.close();
        if (stream.replaced && !waiting.size) end(stream);
      },
      error: error => {
        // a decoder that idles may be taken away; that hurts only when its next picture comes without a key
        if (waiting.size && turn === this.#turn) this.#failed(error);
      },
    });
    decoder.configure(config(codec));
    /** @type {Stream} */
    const stream = { decoder, set: set.slice(), waiting, replaced: false };
    return stream;
  }
}

/** @param {Stream} stream is closed once its last picture is out */
function retire(stream) {
  stream.replaced = true;
  if (!stream.waiting.size) end(stream);
}

/** @param {Stream} stream */
function end({ decoder, waiting }) {
  waiting.clear();
  if (decoder.state !== 'closed') decoder.close();
}

/**
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 */
function same(one, other) {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
