// An agent in another language: it asks for a human over CDP and waits for the event. ask_by_cdp.mjs CDP_URL URL
import puppeteer from "puppeteer-core";

const [cdpUrl, url] = process.argv.slice(2);
const say = fields => console.log(JSON.stringify(fields));
const browser = await puppeteer.connect({ browserWSEndpoint: cdpUrl, defaultViewport: null });
const page = (await browser.pages())[0];
await page.goto(url);
const session = await page.createCDPSession();
const completed = new Promise(resolve => session.on("Baton.handoffCompleted", resolve));
const asked = await session.send("Baton.requestHandoff", {
  kind: "approval", instructions: "Press the button, please.", condition: { text: "Welcome back" }, timeout_s: 60,
});
say({ event: "asked", handoff: asked.handoffId, state: asked.state });
const result = await completed;
const heading = await page.$eval("h1", e => e.textContent);
const again = await session.send("Baton.getHandoff", { handoffId: asked.handoffId });
say({
  event: "result", handoff: result.handoffId, outcome: result.outcome, note: result.note,
  verified: result.verification.verified, text: result.text, heading, url: page.url(), state: again.state,
});
await browser.disconnect();
process.exit(0);
