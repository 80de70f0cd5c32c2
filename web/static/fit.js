// @ts-check
/** Where the picture goes: as large as the room allows, its aspect kept, its pixels on the screen's own pixels. */

const FRAME_PX = 3;
const NEARLY = 1.12;

/**
 * The picture's size in CSS pixels: whole pixels of the screen, and 1:1 (or 2:1 …) when that is nearly what fits.
 * @param {{width: number, height: number}} room
 * @param {{width: number, height: number}} remote
 * @param {number} dpr screen pixels for one CSS pixel
 */
export function fitted(room, remote, dpr) {
  let scale = Math.max(0.05, Math.min(room.width / remote.width, room.height / remote.height)) * dpr;
  const whole = Math.floor(scale + 1e-6);
  if (whole >= 1 && scale / whole < NEARLY) scale = whole;
  return { width: Math.round(remote.width * scale) / dpr, height: Math.round(remote.height * scale) / dpr };
}

/**
 * Keep `canvas` in `frame` fitted into `room`.
 * @param {{room: HTMLElement, frame: HTMLElement, canvas: HTMLCanvasElement}} elements
 * @returns {() => void} fit again, after the remote size changed
 */
export function keepFitted({ room, frame, canvas }) {
  const fit = () => {
    const dpr = devicePixelRatio || 1;
    const border = getComputedStyle(frame);
    const [across, down] = [border.borderLeftWidth === '0px' ? 0 : 2 * FRAME_PX, 2 * FRAME_PX];
    const space = { width: room.clientWidth - across, height: room.clientHeight - down };
    const size = fitted(space, canvas, dpr);
    const place = (/** @type {number} */ free) => `${Math.max(0, Math.floor((free / 2) * dpr) / dpr)}px`;
    Object.assign(canvas.style, { width: `${size.width}px`, height: `${size.height}px` });
    // a tall room is a phone's: the picture goes to the top, where the sheet does not cover it
    const top = space.height > space.width ? '0px' : place(space.height - size.height);
    room.style.setProperty('--picture-top', top);
    Object.assign(frame.style, {
      width: `${size.width + across}px`, height: `${size.height + down}px`,
      left: place(space.width - size.width), top,
    });
  };
  new ResizeObserver(fit).observe(room);
  fit();
  return fit;
}
