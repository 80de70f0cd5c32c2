// @ts-check
/**
 * Pictures of `/stream` onto a canvas: H.264 through WebCodecs, or JPEG where WebCodecs is missing (an insecure
 * origin, an old browser). A picture is drawn the moment it is decoded; one that cannot be decoded makes a new
 * decoder and asks for a key frame.
 */

const HEADER = 20;
const WANTED = { 'h264-444': 'avc1.F40029', h264: 'avc1.42C029' };

/**
 * What this browser can show, best first, as the `hello` of the protocol lists it.
 * @returns {Promise<string[]>}
 */
export async function capabilities() {
  const found = [];
  if ('VideoDecoder' in globalThis) {
    for (const [kind, codec] of Object.entries(WANTED)) {
      try {
        const { supported } = await VideoDecoder.isConfigSupported({ codec, hardwareAcceleration: 'prefer-software', optimizeForLatency: true });
        if (supported) found.push(kind);
      } catch { /* this kind is unknown here */ }
    }
  }
  return [...found, 'jpeg'];
}

/**
 * @typedef {object} Header
 * @property {boolean} jpeg
 * @property {boolean} key
 * @property {boolean} masked
 * @property {number} frame
 * @property {number} taken microseconds since the hub started
 * @property {number} width
 * @property {number} height
 */

/**
 * @param {ArrayBuffer} message
 * @returns {Header}
 */
export function readHeader(message) {
  const view = new DataView(message);
  return {
    jpeg: view.getUint8(0) === 1,
    key: (view.getUint8(1) & 1) !== 0,
    masked: (view.getUint8(1) & 2) !== 0,
    frame: view.getUint32(4),
    taken: Number(view.getBigUint64(8)),
    width: view.getUint16(16),
    height: view.getUint16(18),
  };
}

/** Decodes pictures in order and draws each one; what becomes of them is told to the callbacks. */
export class Decoder {
  #canvas;
  #context;
  #on;
  /** @type {VideoDecoder | null} */
  #video = null;
  #codec = '';
  #needsKey = true;
  /** @type {Map<number, {frame: number, began: number}>} */
  #waiting = new Map();
  /** @type {Promise<void>} */
  #jpegs = Promise.resolve();
  #closed = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{shown: (frame: number, decodeMs: number) => void, lost: () => void, size: (width: number, height: number) => void}} on
   */
  constructor(canvas, on) {
    this.#canvas = canvas;
    this.#on = on;
    const context = canvas.getContext('2d', { alpha: false, desynchronized: true });
    if (!context) throw new Error('this canvas has no 2d context');
    this.#context = context;
  }

  /**
   * The next pictures are of another stream.
   * @param {string} codec
   */
  expect(codec) {
    this.#codec = codec;
    this.#drop();
  }

  /** @param {ArrayBuffer} message one binary message of `/stream` */
  push(message) {
    const head = readHeader(message);
    const data = new Uint8Array(message, HEADER);
    if (head.jpeg) this.#pushJpeg(head, data);
    else this.#pushVideo(head, data);
  }

  /** Ends it; the last picture stays on the canvas. */
  close() {
    this.#closed = true;
    this.#drop();
  }

  #drop() {
    if (this.#video && this.#video.state !== 'closed') this.#video.close();
    this.#video = null;
    this.#needsKey = true;
    this.#waiting.clear();
  }

  /**
   * @param {Header} head
   * @param {Uint8Array} data
   */
  #pushVideo(head, data) {
    if (this.#needsKey && !head.key) {
      this.#on.lost();
      return;
    }
    try {
      const video = (this.#video ??= this.#open(head));
      this.#needsKey = false;
      this.#waiting.set(head.frame, { frame: head.frame, began: performance.now() });
      // the time stamp is only carried through: the frame number finds its way back
      video.decode(new EncodedVideoChunk({ type: head.key ? 'key' : 'delta', timestamp: head.frame, data }));
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * @param {Header} head
   * @returns {VideoDecoder}
   */
  #open(head) {
    /** @type {VideoDecoder} */
    const video = new VideoDecoder({
      output: picture => {
        if (video === this.#video) this.#draw(picture, picture.displayWidth, picture.displayHeight, picture.timestamp);
        picture.close();
      },
      error: error => {
        if (video === this.#video) this.#fail(error);
      },
    });
    video.configure({
      codec: this.#codec || WANTED.h264, codedWidth: head.width, codedHeight: head.height, optimizeForLatency: true,
      hardwareAcceleration: 'prefer-software',
    });
    return video;
  }

  /** @param {unknown} error */
  #fail(error) {
    console.warn('stream: the decoder failed, asking for a key frame', error);
    this.#drop();
    if (!this.#closed) this.#on.lost();
  }

  /**
   * @param {Header} head
   * @param {Uint8Array} data
   */
  #pushJpeg(head, data) {
    const began = performance.now();
    this.#waiting.set(head.frame, { frame: head.frame, began });
    const picture = createImageBitmap(new Blob([data], { type: 'image/jpeg' }));
    this.#jpegs = this.#jpegs.then(async () => {
      try {
        const bitmap = await picture;
        if (!this.#closed) this.#draw(bitmap, bitmap.width, bitmap.height, head.frame);
        bitmap.close();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  /**
   * @param {CanvasImageSource} picture
   * @param {number} width
   * @param {number} height
   * @param {number} frame
   */
  #draw(picture, width, height, frame) {
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
      this.#on.size(width, height);
    }
    this.#context.drawImage(picture, 0, 0, width, height);
    const began = this.#waiting.get(frame)?.began ?? performance.now();
    this.#waiting.delete(frame);
    this.#on.shown(frame, performance.now() - began);
  }
}
