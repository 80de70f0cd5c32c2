// An ordinary puppeteer script: it knows nothing of Baton but, at its end, how to ask for a human.
import puppeteer from 'puppeteer-core';
import { refusal, step } from './steps.mjs';

const browser = await puppeteer.connect({ browserWSEndpoint: process.argv[2], defaultViewport: null });
const [page] = await browser.pages();

async function press() {
  await page.locator('button').setTimeout(5000).click();
  return { title: await page.title(), url: page.url(), acts: await page.evaluate(() => acts) };
}

await step('pressed', await press());
await step('refused', [
  await refusal(page.evaluate(() => { acts = 100; })),
  await refusal(page.evaluate(() => probe)),
  await refusal(page.mouse.click(5, 5)),
  await refusal(page.goto('about:blank')),
  await refusal(page.screenshot()),
  await refusal(browser.newPage()),
  await refusal(page.cookies()),
]);
for (let more = await step('next'); more; more = await step('pressed', await press()))
  ;
const cdp = await page.createCDPSession();
const completed = new Promise(resolve => cdp.once('Baton.handoffCompleted', resolve));
const handoff = await cdp.send('Baton.requestHandoff', { kind: 'captcha', instructions: 'Please solve it' });
await step('asked', handoff);
await step('completed', await completed);
await step('pages', (await browser.pages()).map(p => p.url()));
await step('pdf', (await page.pdf()).length);
await step('closed', await refusal(browser.close()));
process.exit(0);
