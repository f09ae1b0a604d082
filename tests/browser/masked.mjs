// A banner is masked in a real browser: looked at, dragged over, corrected by keyboard, and let go; wide and narrow, as pictures.
//   node masked.mjs <folder>   CAUSEWAY_SITE=… CAUSEWAY_RADIOGRAPHER=… (password) CAUSEWAY_CASE=… CAUSEWAY_SCAN=…

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { browser, listen, until } from './browser.mjs';

const { CAUSEWAY_SITE: url, CAUSEWAY_RADIOGRAPHER: password, CAUSEWAY_CASE: held, CAUSEWAY_SCAN: scan } = process.env;
const [folder] = process.argv.slice(2);
if (!url || !password || !held || !scan || !folder) {
  console.error('usage: CAUSEWAY_SITE=… CAUSEWAY_RADIOGRAPHER=… CAUSEWAY_CASE=… CAUSEWAY_SCAN=… node masked.mjs <folder>');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 1400, height: 900 }, colorScheme: 'dark', timezoneId: 'Europe/Athens' });
const page = await context.newPage();
page.setDefaultTimeout(120_000);
const heard = listen(page, url);
const text = () => page.innerText('main');
const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
const shown = () => until('the picture', () => page.evaluate(() => {
  const image = document.querySelector('.stage img, .scan img');
  return image?.complete && image.naturalWidth;
}));

/** One page in both widths; nothing of it may run out at the side. */
async function pictures(name) {
  for (const [width, height] of [[1400, 900], [390, 844]]) {
    await page.setViewportSize({ width, height });
    assert.ok(await fits(), `${name} runs out of ${width} pixels`);
    await page.screenshot({ path: `${folder}/${name}-${width}.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 1400, height: 900 });
}

/** Drags over a part of the picture, in parts of its width and height. */
async function drag([left, top], [right, bottom]) {
  await page.locator('.stage').scrollIntoViewIfNeeded();
  const box = await page.locator('.stage svg').boundingBox();
  const at = (part, from, length) => from + Math.min(length - 0.5, Math.max(0.5, part * length));
  await page.mouse.move(at(left, box.x, box.width), at(top, box.y, box.height));
  await page.mouse.down();
  await page.mouse.move(at((left + right) / 2, box.x, box.width), at((top + bottom) / 2, box.y, box.height), { steps: 4 });
  await page.mouse.move(at(right, box.x, box.width), at(bottom, box.y, box.height), { steps: 4 });
  await page.mouse.up();
}

const fields = () => page.evaluate(() => [...document.querySelectorAll('#rectangles li')]
  .map((row) => [...row.querySelectorAll('input')].map((field) => (field.value === '' ? null : Number(field.value)))));
const drawn = () => page.evaluate(() => [...document.querySelectorAll('.stage .drawn')]
  .map((rect) => ['x', 'y', 'width', 'height'].map((edge) => Number(rect.getAttribute(edge)))));

let failed = null;
try {
  const elsewhere = await page.request.get(`${url}/case/${held}/object/1/picture`);
  assert.match(elsewhere.url(), /sign-in/, 'no picture without signing in');
  await page.goto(`${url}/masks`);
  await page.fill('#name', 'radiographer');
  await page.fill('#password', password);
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  assert.match(await text(), /1 object waits/);
  assert.match(await text(), /No mask yet/);
  await pictures('masks-before');
  await page.goto(`${url}/work`);
  await pictures('work');
  await page.goto(`${url}/case/${held}`);
  await pictures('case');
  await page.click('.objects a.button');
  await page.waitForURL(/\/object\/\d+$/);
  assert.equal(await shown(), 1024, 'the picture as it is');
  await pictures('object');
  const answer = await page.request.get(await page.evaluate(() => document.querySelector('.stage img').src));
  assert.equal(answer.headers()['cache-control'], 'no-store');
  assert.equal(answer.headers()['content-type'], 'image/png');
  await page.check('#faint');
  await until('the other look', () => page.evaluate(() => document.querySelector('.stage img').src.includes('faint')));
  await shown();
  await pictures('object-faint');
  await page.uncheck('#faint');

  // down into what was scanned: asked once more, and drawn anew
  await drag([0, 0], [1, 0.4]);
  await page.fill('#reason', 'name banner at the top');
  await page.click('button[value="mask"]');
  await page.waitForSelector('h1:has-text("this would hide what was scanned")');
  await shown();
  await pictures('covers');
  await page.click('text=Draw it anew');
  await page.waitForSelector('#draw');
  await shown();

  await drag([0, 0], [1, 22.4 / 768]);
  const [[left, top, right, bottom]] = await fields();
  assert.deepEqual([left, top, right], [0, 0, 1024], 'the fields say what was dragged');
  assert.ok(bottom >= 22 && bottom <= 26, `${bottom}`);
  assert.deepEqual(await drawn(), [[0, 0, 1024, bottom]]);
  await page.focus('#rectangles input[name="bottom"]');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('23');
  assert.deepEqual(await drawn(), [[0, 0, 1024, 23]], 'and the picture what was typed');
  await drag([0.5, 0.5], [0.6, 0.6]);
  assert.equal((await fields()).length, 2, 'another drag is another rectangle');
  await page.locator('[data-remove]').nth(1).click();
  assert.deepEqual(await drawn(), [[0, 0, 1024, 23]], 'which can be taken away');
  await page.locator('.stage').scrollIntoViewIfNeeded();
  await pictures('drawn');
  assert.ok(await page.isChecked('input[name="scope"][value="device"]'), 'for the device, unless somebody says otherwise');
  await page.fill('#reason', 'name banner at the top');
  await page.focus('button[value="mask"]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/said=masked&count=1/);
  assert.match(await text(), /1 object is decided again now\./);
  await pictures('case-masked');
  await page.goto(`${url}/masks`);
  assert.match(await text(), /columns 0 to 1023 of rows 0 to 22, says radiographer/);
  await page.click('summary');
  await pictures('masks-after');

  // a drawing that a scanned request could be: beside the form in which it is typed off, decoded by the child
  await page.goto(`${url}/case/${scan}`);
  await page.locator('#context').scrollIntoViewIfNeeded();
  await shown();
  await pictures('scan');
  await page.click('text=Look at it in full');
  await shown();
  await pictures('scan-object');
  assert.equal(await page.locator('input[name="scope"][type="radio"]').count(), 0, 'no rule for captures');

  assert.deepEqual(heard.elsewhere, [], 'nothing was asked of another server');
  assert.deepEqual(heard.errors, [], 'the browser complains about nothing');
} catch (error) {
  failed = error;
  await page.screenshot({ path: `${folder}/failed.png`, fullPage: true }).catch(() => {});
}
await chromium.close();
if (failed) console.error(`failed: ${failed.stack}`);
else console.log('the banner is masked');
process.exit(failed ? 1 : 0);
