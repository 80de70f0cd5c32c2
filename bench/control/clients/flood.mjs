// An ordinary client that acts and reads without waiting for answers, until a line comes on standard input:
//     flood.mjs playwright|puppeteer CDP_URL COMMANDS_PER_SECOND
// It knows nothing of Baton. At the end it prints what it sent (milliseconds since 1970) and what it was answered.
import { createInterface } from 'node:readline';

const [library, url, rate] = process.argv.slice(2);
const ACT = 'act()/*act of the agent*/', READ = 'probe/*read of the agent*/';
const BATCH_MS = 8;

/** Connect, and return ways to evaluate in the first page. */
async function connect() {
  if (library === 'puppeteer') {
    const { default: puppeteer } = await import('puppeteer-core');
    const browser = await puppeteer.connect({ browserWSEndpoint: url, defaultViewport: null });
    const [page] = await browser.pages();
    const session = await page.createCDPSession();
    return [page, session];
  }
  const { chromium } = await import('playwright-core');
  const context = (await chromium.connectOverCDP(url)).contexts()[0];
  const page = context.pages()[0];
  return [page, await context.newCDPSession(page)];
}

const [page, session] = await connect();
const told = { sent: [], answered: 0, refused: 0, while_human: 0 };
const note = human => { told.answered++; if (human) told.while_human++; };
const refused = () => { told.refused++; };
const ways = [
  expression => page.evaluate(expression).then(note, refused),
  expression => session.send('Runtime.evaluate', { expression, returnByValue: true })
    .then(reply => reply.exceptionDetails ? refused() : note(reply.result.value), refused),
];
let stopped = false, count = 0;
createInterface({ input: process.stdin }).once('line', () => { stopped = true; });
console.log('ready');
const began = Date.now();
while (!stopped) {
  const due = (Date.now() - began) / 1000 * Number(rate);
  while (count < due) {
    told.sent.push(Date.now());
    ways[count % ways.length](count & 2 ? READ : ACT);
    count++;
  }
  await new Promise(resolve => setTimeout(resolve, BATCH_MS));
}
await new Promise(resolve => setTimeout(resolve, 500));
// A pipe takes no more than it has room for at once: to exit before it is empty would cut the line.
process.stdout.write(`${JSON.stringify(told)}\n`, () => process.exit(0));
