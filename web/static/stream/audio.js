// @ts-check
/**
 * The page's sound: Opus packets to the operator's loudspeaker. `start` must be called in a gesture of the operator,
 * or the browser keeps silent.
 */

const RATE = 48000;
const HEADER = 10;
const PACKET_US = 20000;

/** The first byte of a sound message. */
export const SOUND = 3;

/** Why this browser cannot play the page's sound, or an empty string. */
export function noSound() {
  if (!isSecureContext) return 'The page’s sound needs HTTPS; open this console by https:// or on the machine itself.';
  if (typeof AudioDecoder === 'undefined' || typeof AudioWorkletNode === 'undefined') return 'This browser cannot decode the page’s sound; a newer one can.';
  return '';
}

/** Plays what it is given, about 60 ms after it came. */
export class SoundPlayer {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {AudioDecoder | null} */
  #decoder = null;

  /** The context while it plays, for a meter or a test. */
  get context() {
    return this.#context;
  }

  /** The last node before the loudspeaker, once it is there. */
  get node() {
    return this.#node;
  }

  async start() {
    if (this.#context) return;
    const context = this.#context = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
    try {
      const running = context.resume();
      await context.audioWorklet.addModule(new URL('./audio-worklet.js', import.meta.url));
      if (this.#context !== context) return;
      this.#node = new AudioWorkletNode(context, 'page-sound', { numberOfInputs: 0, outputChannelCount: [2] });
      this.#node.connect(context.destination);
      await running;
    } catch (error) {
      // what was stopped meanwhile fails on purpose
      if (this.#context === context) throw error;
    }
  }

  stop() {
    if (this.#decoder?.state === 'configured') this.#decoder.close();
    this.#node?.disconnect();
    this.#context?.close();
    this.#context = this.#node = this.#decoder = null;
  }

  /** @param {Uint8Array} message kind, 0, number, microseconds, one Opus packet */
  push(message) {
    if (!this.#node || message.length <= HEADER) return;
    const number = new DataView(message.buffer, message.byteOffset).getUint32(2);
    if (this.#decoder?.state !== 'configured') this.#decoder = this.#newDecoder();
    this.#decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: number * PACKET_US, data: message.slice(HEADER) }));
  }

  #newDecoder() {
    const decoder = new AudioDecoder({
      output: data => this.#play(data),
      error: error => console.warn('sound: decoding starts again', error),
    });
    decoder.configure({ codec: 'opus', sampleRate: RATE, numberOfChannels: 2 });
    return decoder;
  }

  /** @param {AudioData} data */
  #play(data) {
    const channels = [0, 1].map(channel => {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: Math.min(channel, data.numberOfChannels - 1), format: 'f32-planar' });
      return samples;
    });
    data.close();
    this.#node?.port.postMessage(channels, channels.map(samples => samples.buffer));
  }
}
