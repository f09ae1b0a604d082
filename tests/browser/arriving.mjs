// Images that arrive while the reader looks join what he sees: no new start, the same image, the same size (P13).
//   CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… node arriving.mjs <before> <after> <folder>   says so in <folder>/open when the rest may come

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';

import { browser, lit, until } from './browser.mjs';

const { CAUSEWAY_URL: url, CAUSEWAY_USER: user, CAUSEWAY_PASSWORD: password } = process.env;
const [before, after, folder] = process.argv.slice(2);
if (!url || !user || !password || !folder) {
  console.error('usage: CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… node arriving.mjs <before> <after> <folder>');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const chromium = await browser();
const page = await (await chromium.newContext({ viewport: { width: 1600, height: 1000 } })).newPage();
page.setDefaultTimeout(240_000);
/** How the gateway answered when the case page asked for its first look. */
const looks = [];
page.on('response', (answer) => { if (answer.url().includes('/thumbnail?viewport=')) looks.push(answer.status()); });
// on a slow line the styles may be the last to come: the viewer starts all the same
await page.route('**/viewer/*.css', async (route) => {
  await new Promise((resolve) => { setTimeout(resolve, 400); });
  await route.continue();
});
const frame = () => page.frames().find((one) => one.url().includes('/viewer/viewer'));
/** Instance number, place in the stack, and length of the stack, as the viewer writes them in its corner. */
const place = async () => {
  const found = /I:\s*(\d+)\s*\((\d+)\/(\d+)\)/.exec(await frame()?.evaluate(() => document.body.innerText).catch(() => '') ?? '');
  return found && { instance: Number(found[1]), at: Number(found[2]), of: found[3] };
};

let failed = null;
try {
  await page.goto(url);
  await page.fill('#user', user);
  await page.fill('#password', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('tr[data-workitem]');
  await page.keyboard.press('n');
  await until('the images', async () => (await lit(page)) > 0.01);
  await until(`a stack of ${before}`, async () => (await place())?.of === before);
  assert.deepEqual(looks, [200], 'one picture was there while the viewer loaded');
  await until('the picture to go, now that the viewer shows its own', async () => (await page.locator('.first-look').count()) === 0);
  await frame().evaluate(() => { window.untouched = true; });
  const box = await frame().locator('canvas.cornerstone-canvas').first().boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  let left = await place();
  while (left.at <= 3) {
    const { at } = left;
    await page.mouse.wheel(0, 100);
    left = await until('another image', async () => { const now = await place(); return now?.at > at ? now : null; });
  }
  await page.screenshot({ path: `${folder}/before.png` });
  writeFileSync(`${folder}/open`, '');
  const now = await until('the rest', async () => { const found = await place(); return found?.of === after ? found : null; });
  assert.equal(now.instance, left.instance, 'the reader is still at the image he looked at');
  assert.ok(await frame().evaluate(() => window.untouched === true), 'the viewer was not started again');
  assert.ok((await lit(page)) > 0.01, 'and shows it');
  assert.match(await page.innerText('.later'), /joined the images/);
  assert.equal(await frame().locator('[data-cy="study-browser-thumbnail"]').count(), 1, 'the series is still one');
  await page.screenshot({ path: `${folder}/after.png` });
} catch (error) {
  failed = error;
  await page.screenshot({ path: `${folder}/failed.png` });
}
await chromium.close();
if (failed) throw failed;
console.log(`${after} images on the screen that was opened with ${before}`);
