// Judges what a console displays against pictures of the same pages, frame by frame. A function of the CSS selector of
// the element (canvas or video) that shows the remote screen.
selector => {
  const [X, Y, W, H] = [60, 120, 480, 320];
  const EDGE = 24; // the pointer rests in the bottom right corner
  const cold = window.__cold = { result: null };
  const element = () => document.querySelector(selector);
  const size = e => [e.videoWidth || e.width, e.videoHeight || e.height];
  const surface = (width, height) => {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    return canvas.getContext('2d', { willReadFrequently: true });
  };
  const part = surface(W, H);

  const compare = (a, b) => {
    let error = 0;
    let wrong = 0;
    for (let i = 0; i < a.length; i += 4) {
      const r = a[i] - b[i], g = a[i + 1] - b[i + 1], u = a[i + 2] - b[i + 2];
      const here = r * r + g * g + u * u;
      error += here;
      if (here) wrong++;
    }
    const pixels = a.length / 4;
    return { db: error ? 10 * Math.log10((65025 * pixels * 3) / error) : 99, exact: 1 - wrong / pixels };
  };

  cold.ready = () => Boolean(element()) && size(element())[0] > 50;

  cold.at = (x, y) => {
    const box = element().getBoundingClientRect(), [width, height] = size(element());
    return [box.x + (x * box.width) / width, box.y + (y * box.height) / height];
  };

  cold.take = async url => {
    const picture = await createImageBitmap(await (await fetch(url)).blob());
    cold.true = surface(picture.width, picture.height);
    cold.true.drawImage(picture, 0, 0);
    cold.part = cold.true.getImageData(X, Y, W, H).data;
  };

  cold.arm = () => {
    cold.result = null;
    addEventListener('pointerdown', event => {
      const out = {};
      const look = () => {
        part.drawImage(element(), X, Y, W, H, 0, 0, W, H);
        const { db, exact } = compare(part.getImageData(0, 0, W, H).data, cold.part);
        const after = performance.now() - event.timeStamp;
        if (db >= 30) out.readable ??= after;
        if (db >= 45) out.sharp ??= after;
        if (exact === 1) out.exact ??= after;
        if (out.exact || after > 4000) cold.result = out;
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, { capture: true, once: true });
  };

  cold.whole = () => {
    const width = cold.true.canvas.width - EDGE, height = cold.true.canvas.height - EDGE;
    const all = surface(width, height);
    all.drawImage(element(), 0, 0);
    return compare(all.getImageData(0, 0, width, height).data, cold.true.getImageData(0, 0, width, height).data);
  };
}
