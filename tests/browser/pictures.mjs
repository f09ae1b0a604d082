// Opens every case of the worklist and waits until the viewer's canvas shows something: node pictures.mjs <cases> <folder>
//   CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=…

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { browser, listen, lit, until } from './browser.mjs';

const { CAUSEWAY_URL: url, CAUSEWAY_USER: user, CAUSEWAY_PASSWORD: password } = process.env;
const [wanted, folder] = process.argv.slice(2);
if (!url || !user || !password || !folder) {
  console.error('usage: CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… node pictures.mjs <cases> <folder>');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

let loadedAgain = 0;

/** Waits for a picture that stays: lit at one look may be a canvas that is cleared right after. The viewer is loaded again once. */
async function picture(page, what) {
  let steady = 0;
  const look = async () => {
    const now = await lit(page);
    steady = now > 0.01 ? steady + 1 : 0;
    return steady >= 10 ? now : 0;
  };
  try {
    return await until(`an image of ${what}`, look, 100);
  } catch (error) {
    if (loadedAgain > 0) throw error;
    loadedAgain += 1;
    console.log(`${what}: black for 100 s, loaded again`);
    await page.reload();
    return until(`an image of ${what}`, look, 200);
  }
}

const chromium = await browser();
const page = await (await chromium.newContext({ viewport: { width: 1600, height: 1000 } })).newPage();
page.setDefaultTimeout(240_000);
const heard = listen(page, url);
let failed = null;
try {
  await page.goto(url);
  await page.fill('#user', user);
  await page.fill('#password', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.list table, .list .empty');
  const ask = () => page.evaluate(async () => (await (await fetch('/api/v1/worklist')).json()).items);
  const items = await until(`${wanted} complete cases`, async () => {
    const now = await ask();
    return now.length === Number(wanted) && now.every((item) => item.readiness === 'READY') ? now : null;
  }, 300);
  for (const item of items) {
    const [study] = item.studies;
    await page.goto(`${url}/case/${item.case}`);
    const part = await picture(page, `${study.modalities} ${study.description}`);
    await page.screenshot({ path: `${folder}/${study.modalities.join('-')}-${item.code}.png` });
    console.log(`${study.modalities.join(' ').padEnd(8)}${study.description.padEnd(32)} ${Math.round(part * 100)} % of the canvas is lit`);
  }
  assert.deepEqual(heard.elsewhere, [], 'nothing was asked of another server');
} catch (error) {
  failed = error;
  await page.screenshot({ path: `${folder}/failed.png` }).catch(() => {});
  console.log([...new Set(heard.errors)].slice(0, 8).join('\n'));
}
await chromium.close();
if (failed) console.error(`failed: ${failed.message}`);
process.exit(failed ? 1 : 0);
