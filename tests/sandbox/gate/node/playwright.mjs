// An ordinary Playwright script: it knows nothing of Baton but, at its end, how to ask for a human.
import { chromium } from 'playwright-core';
import { refusal, step } from './steps.mjs';

const browser = await chromium.connectOverCDP(process.argv[2]);
const context = browser.contexts()[0];
context.setDefaultTimeout(5000);
const page = context.pages()[0];

async function press() {
  await page.getByRole('button', { name: 'Press' }).click();
  return { title: await page.title(), url: page.url(), acts: await page.evaluate(() => acts) };
}

await step('pressed', await press());
await step('refused', [
  await refusal(page.evaluate(() => { acts = 100; })),
  await refusal(page.evaluate(() => probe)),
  await refusal(page.mouse.click(5, 5)),
  await refusal(page.goto('about:blank')),
  await refusal(page.screenshot()),
  await refusal(context.newPage()),
  await refusal(context.cookies()),
]);
for (let more = await step('next'); more; more = await step('pressed', await press()))
  ;
const cdp = await context.newCDPSession(page);
const completed = new Promise(resolve => cdp.once('Baton.handoffCompleted', resolve));
const handoff = await cdp.send('Baton.requestHandoff', { kind: 'captcha', instructions: 'Please solve it' });
await step('asked', handoff);
await step('completed', await completed);
await step('pages', context.pages().map(p => p.url()));
await step('pdf', (await page.pdf()).length);
await step('closed', await refusal(browser.close()));
process.exit(0);
