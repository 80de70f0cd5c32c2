// A puppeteer client that keeps trying to act and to read until a line comes on standard input: hammer.mjs CDP_URL
import puppeteer from "puppeteer-core";
import { createInterface } from "node:readline";

const browser = await puppeteer.connect({ browserWSEndpoint: process.argv[2], defaultViewport: null });
const say = fields => console.log(JSON.stringify(fields));
const page = (await browser.pages())[0];
const answered = [], refused = [];
let stopped = false;
createInterface({ input: process.stdin }).once("line", () => { stopped = true; });
say({ event: "connected", url: page.url() });
const session = await page.createCDPSession().catch(() => null);
while (!stopped) {
  for (const expression of ["sessionStorage.acted = (sessionStorage.acted || '') + Date.now() + ' ' /* agent-was-here */", "document.title /* agent-looked-here */"]) {
    try {
      const send = session ? session.send("Runtime.evaluate", { expression }) : page.evaluate(expression);
      await Promise.race([send, new Promise((_, no) => setTimeout(no, 2000, new Error("no answer")))]);
      answered.push(Date.now() / 1000);
    } catch (error) {
      refused.push(String(error));
    }
  }
  await new Promise(go => setTimeout(go, 5));
}
say({ event: "result", answered, refused: refused.length, refusal: refused[0] ?? "" });
await browser.disconnect();
process.exit(0);
