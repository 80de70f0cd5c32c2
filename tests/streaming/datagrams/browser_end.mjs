// The browser's end for tests: one JSON command a line in, one JSON answer a line out; times in seconds as in Python.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { BrowserEnd } = await import(pathToFileURL(process.argv[2]).href);
const end = new BrowserEnd(0, JSON.parse(process.argv[3]));

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const messages = (list) => list.map(({ number, data }) => (typeof data === 'string' ? [number, data] : [number, { hex: hex(data) }]));
const commands = {
  hear: (now, datagram) => messages(end.hear(Uint8Array.from(Buffer.from(datagram, 'hex')), now)),
  advance: (now, number) => messages(end.advance(number)),
  due: (now) => end.due(now).map(hex),
  send: (now, data) => end.send(typeof data === 'string' ? data : Uint8Array.from(Buffer.from(data.hex, 'hex')), now),
  loose: (now, kind, text) => end.loose(kind, text, now),
  shown: (now, frame, decode) => end.shown(frame, decode, now),
  undelivered: (now, after) => messages(end.undelivered(after)),
  errors: () => end.errors,
  silent: (now) => end.silentFor(now) / 1000,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, now, ...rest] = JSON.parse(line);
  const result = commands[name](now * 1000, ...rest);
  process.stdout.write(`${JSON.stringify([result ?? null, end.nextAt() / 1000])}\n`);
}
