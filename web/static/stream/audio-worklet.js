// @ts-check
/**
 * The page's sound on the audio thread: a ring of samples that is kept about 60 ms full.
 *
 * It waits until that much is there before it plays, plays silence when it runs dry, and makes up for two clocks that
 * differ, and for a network that paused, by skipping a few milliseconds at a time, faded so that nobody hears it.
 */

const TARGET_S = 0.06;
/** Fuller than this for a whole second, and it skips a little at a time. */
const SLACK_S = 0.03;
/** Fuller than this, and it goes back to the target at once. */
const FULL_S = 0.3;
const RING_S = 1;

class PageSound extends AudioWorkletProcessor {
  #size = Math.ceil(RING_S * sampleRate);
  #ring = [new Float32Array(this.#size), new Float32Array(this.#size)];
  /** Samples ever written and read. */
  #written = 0;
  #read = 0;
  #waiting = true;
  /** The least that was in the ring in this second, and when the second ends. */
  #least = Infinity;
  #until = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#write(data);
  }

  /** @param {Float32Array[]} channels */
  #write([left, right]) {
    for (let i = 0; i < left.length; i++) {
      const at = (this.#written + i) % this.#size;
      this.#ring[0][at] = left[i];
      this.#ring[1][at] = right[i];
    }
    this.#written += left.length;
    if (this.#written - this.#read > this.#size) this.#read = this.#written - Math.round(TARGET_S * sampleRate);
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, [output]) {
    const length = output[0].length;
    const there = this.#written - this.#read;
    if (this.#waiting && there < TARGET_S * sampleRate) return true;
    this.#waiting = false;
    const skip = this.#skip(there, length);
    for (let i = 0; i < Math.min(length, there); i++) {
      const share = skip ? i / length : 0;
      const [at, ahead] = [(this.#read + i) % this.#size, (this.#read + skip + i) % this.#size];
      output.forEach((samples, channel) => {
        const ring = this.#ring[channel & 1];
        samples[i] = ring[at] * (1 - share) + ring[ahead] * share;
      });
    }
    this.#read += Math.min(there, length + skip);
    this.#waiting = there < length;
    return true;
  }

  /**
   * How many samples to leave out, fading over this block.
   * @param {number} there
   * @param {number} length
   */
  #skip(there, length) {
    if (there > FULL_S * sampleRate) return there - Math.round(TARGET_S * sampleRate) - length;
    this.#least = Math.min(this.#least, there);
    if (currentTime < this.#until) return 0;
    const over = this.#least - (TARGET_S + SLACK_S) * sampleRate;
    this.#least = Infinity;
    this.#until = currentTime + 1;
    return over > 0 ? Math.min(Math.round(over), there - 2 * length) : 0;
  }
}

registerProcessor('page-sound', PageSound);
