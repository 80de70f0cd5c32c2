// Put into every document of the operator's browser before its own scripts run: notes when the console opened its live
// socket, when its canvas first showed the remote page, what it said first, and when messages went and came after a
// click. Times are milliseconds since the epoch.
(() => {
  const seen = window.__bench = { opened: 0, painted: 0, flip: 0, hello: '', channels: 0, sent: 0, heard: [] };
  const now = () => performance.timeOrigin + performance.now();
  const dot = document.createElement('canvas');
  dot.width = dot.height = 1;
  const pen = dot.getContext('2d', { willReadFrequently: true });
  const canvas = () => document.querySelector('[data-screen]');

  seen.at = (x, y) => {
    const box = canvas().getBoundingClientRect();
    return [box.x + (x * box.width) / canvas().width, box.y + (y * box.height) / canvas().height];
  };

  const pixel = (x, y) => {
    if (!canvas()?.width) return [0, 0, 0, 0];
    pen.clearRect(0, 0, 1, 1);
    pen.drawImage(canvas(), x, y, 1, 1, 0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };

  const until = (holds, then) => {
    const look = () => (holds() ? then(now()) : requestAnimationFrame(look));
    requestAnimationFrame(look);
  };

  // scenes.html is white at both edges and has a marker in the middle; an unpainted canvas is transparent or black
  const white = p => p[0] > 240 && p[1] > 240 && p[2] > 240 && p[3] === 255;
  const shown = () => white(pixel(20, 400)) && white(pixel(1262, 400)) && pixel(640, 360)[3] === 255;

  seen.watchFlip = () => {
    const was = pixel(638, 358)[0];
    seen.flip = seen.pressed = seen.sent = 0;
    seen.heard = [];
    addEventListener('pointerdown', event => { seen.pressed = performance.timeOrigin + event.timeStamp; }, { capture: true, once: true });
    until(() => Math.abs(pixel(638, 358)[0] - was) > 100, at => { seen.flip = at; });
  };

  const went = () => { if (seen.pressed) seen.sent ||= now(); };
  const came = ({ data }) => { if (seen.sent && typeof data !== 'string') seen.heard.push(now()); };

  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(url, ...rest) {
      const at = now();
      super(url, ...rest);
      if (!new URL(url, location.href).pathname.endsWith('/live')) return;
      this.addEventListener('message', came);
      seen.opened = at;
      seen.painted = 0;
      until(shown, when => { seen.painted = when; });
    }

    send(data) {
      if (typeof data === 'string' && data.includes('"hello"')) seen.hello = data;
      went();
      super.send(data);
    }
  };

  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    createDataChannel(...given) {
      const channel = super.createDataChannel(...given);
      const send = channel.send.bind(channel);
      channel.send = data => { went(); send(data); };
      channel.addEventListener('message', came);
      channel.addEventListener('open', () => { seen.channels++; });
      channel.addEventListener('close', () => { seen.channels--; });
      return channel;
    }
  };
})();
