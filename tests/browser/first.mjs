// How soon a reader sees something of a study whose first slice has just been given to the agent. Signs in, starts the sender, opens the case
// from its arriving row, and prints as JSON the seconds since the sender was started: the row, the first picture on the case page, the first
// image on the viewer's canvas; and that canvas once more, for a case opened after the viewer has been used.
//   CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… node first.mjs <folder> <sender> [argument …]   pictures go to <folder>

import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';

import { browser, lit, until } from './browser.mjs';

const { CAUSEWAY_URL: url, CAUSEWAY_USER: user, CAUSEWAY_PASSWORD: password, FIRST_WARM: warm } = process.env;
const [folder, program, ...words] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const chromium = await browser();
const page = await (await chromium.newContext({ viewport: { width: 1600, height: 1000 } })).newPage();
page.setDefaultTimeout(120_000);
const errors = new Set();
page.on('pageerror', (error) => errors.add(String(error.stack ?? error).slice(0, 400)));
page.on('console', (line) => line.type() === 'error' && errors.add(line.text().slice(0, 400)));
const often = async (what, ask) => {
  const end = Date.now() + 120_000;
  while (!await ask()) {
    if (Date.now() > end) throw new Error(`waited for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 15); });
  }
};
const pictured = () => page.evaluate(() => Boolean(document.querySelector('.first-look.there'))).catch(() => false);

const result = {};
try {
  await page.goto(url);
  await page.fill('#user', user);
  await page.fill('#password', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.list table, .list .empty');
  for (const _ of warm ? ['once', 'again'] : []) {
    // the viewer is used on a case that is there, and left: from the second time on the browser keeps its programs compiled
    await page.click(`tr[data-case="${warm}"] a.code-link`);
    await until('the viewer', async () => (await lit(page)) > 0.01);
    await page.goBack();
    await page.waitForSelector('.list table');
  }
  // a reader who looks at the list: the viewer behind it has come to rest
  if (warm) await until('a viewer that stands ready', () => page.evaluate(() => [...document.querySelectorAll('iframe')].some((one) => one.inert && one.contentWindow.progress?.().ready)).catch(() => false));
  const known = new Set(await page.$$eval('tr[data-case]', (rows) => rows.map((row) => row.dataset.case)));
  const fresh = () => page.$$eval('tr[data-case]', (rows) => rows.map((row) => row.dataset.case)).then((all) => all.find((one) => !known.has(one)));
  const begun = performance.now();
  const since = () => (performance.now() - begun) / 1000;
  const sender = spawn(program, words, { stdio: 'ignore' });
  const ended = new Promise((resolve, reject) => {
    sender.on('error', reject);
    sender.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the sender ended with ${code}`))));
  });
  await often('the row', fresh);
  result.row = since();
  await page.click(`tr[data-case="${await fresh()}"] a.code-link`);
  await often('a picture', async () => (await pictured()) || (await lit(page)) > 0.01);
  result.picture = since();
  await page.screenshot({ path: `${folder}/picture.png` });
  await often('the canvas', async () => (await lit(page)) > 0.01);
  result.canvas = since();
  await page.screenshot({ path: `${folder}/canvas.png` });
  await ended;
  result.sent = since();
} catch (error) {
  result.failed = String(error);
  result.errors = [...errors];
  await page.screenshot({ path: `${folder}/failed.png` });
}
console.log(JSON.stringify(result));
await chromium.close();
process.exit(result.failed ? 1 : 0);
