// @ts-check
/** The remote pointer's shape as the CSS cursor of the canvas: it moves with the hand, not with the stream. */

/** Shows cursors on one element. */
export class CursorShape {
  #element;
  #png = '';
  #x = 0;
  #y = 0;
  #driving = false;
  #scale = 1;
  #turn = 0;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /**
   * @param {string} png base64, "" when the page hides the pointer
   * @param {number} x hot spot
   * @param {number} y hot spot
   */
  set(png, x, y) {
    [this.#png, this.#x, this.#y] = [png, x, y];
    this.#show();
  }

  /** @param {boolean} driving a watcher keeps the console's own pointer */
  drive(driving) {
    this.#driving = driving;
    this.#show();
  }

  /** @param {number} scale CSS pixels for one remote pixel */
  scale(scale) {
    const steps = Math.max(0.25, Math.min(3, Math.round(scale * 20) / 20));
    if (steps === this.#scale) return;
    this.#scale = steps;
    this.#show();
  }

  async #show() {
    const turn = ++this.#turn;
    if (!this.#driving) {
      this.#element.style.cursor = '';
      return;
    }
    if (!this.#png) {
      this.#element.style.cursor = 'none';
      return;
    }
    const plain = `data:image/png;base64,${this.#png}`;
    const url = this.#scale === 1 ? plain : await scaled(plain, this.#scale);
    if (turn !== this.#turn) return;
    const [x, y] = [Math.round(this.#x * this.#scale), Math.round(this.#y * this.#scale)];
    this.#element.style.cursor = `url(${url}) ${x} ${y}, default`;
  }
}

/**
 * @param {string} url
 * @param {number} scale
 * @returns {Promise<string>}
 */
async function scaled(url, scale) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return url;
  }
  const canvas = document.createElement('canvas');
  // browsers ignore cursors larger than 128 pixels
  canvas.width = Math.min(128, Math.max(1, Math.round(image.width * scale)));
  canvas.height = Math.min(128, Math.max(1, Math.round(image.height * scale)));
  canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/png');
}
