// Every series of every case has its row (P18): opens each case and compares the page with what was sent.
//   CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… node series.mjs <expected.json: {tasks: [study], studies: {study: {series: {class, count}}}}> <folder for screenshots>

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';

import { browser, until } from './browser.mjs';

const { CAUSEWAY_URL: url, CAUSEWAY_USER: user, CAUSEWAY_PASSWORD: password } = process.env;
const [file, folder] = process.argv.slice(2);
if (!url || !user || !password || !file || !folder) {
  console.error('usage: CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… node series.mjs <expected.json> <folder>');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const { tasks, studies: expected } = JSON.parse(readFileSync(file, 'utf8'));
const total = (study) => Object.values(expected[study]).reduce((sum, one) => sum + one.count, 0);

const chromium = await browser();
const page = await (await chromium.newContext({ viewport: { width: 1600, height: 1400 } })).newPage();
page.setDefaultTimeout(240_000);
// what is counted stands beside the viewer; the viewer itself is another test's
await page.route('**/viewer/**', (route) => route.fulfill({ contentType: 'text/html', body: '' }));
const ask = (path) => page.evaluate(async (where) => (await fetch(where)).json(), path);

const classes = new Map();
let rows = 0;
let failed = null;
try {
  await page.goto(url);
  await page.fill('#user', user);
  await page.fill('#password', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.list table, .list .empty');
  const items = await until('every case to be complete', async () => {
    const { items: now } = await ask('/api/v1/worklist');
    const here = new Map(now.flatMap((item) => item.studies.map((study) => [study.uid, study.instances])));
    const missing = tasks.filter((study) => here.get(study) !== total(study));
    if (process.env.VERBOSE) console.log(`${missing.length} studies missing`, missing.slice(0, 3).map((study) => [study, here.get(study), total(study)]));
    return missing.length ? null : now;
  }, 300);
  assert.equal(items.length, tasks.length, 'one case for each study that makes a task');
  let pictures = 0;
  for (const item of items) {
    await page.goto(`${url}/case/${item.case}`);
    await page.waitForSelector('[data-series]');
    const shown = await page.locator('.study-part').evaluateAll((parts) => parts.map((part) => ({
      study: part.dataset.study,
      series: [...part.querySelectorAll('[data-series]')].map((row) => ({ uid: row.dataset.series, shown: row.dataset.shown, words: row.querySelector('.series-what').innerText.replace(/\n/g, ' | ') })),
      sum: part.querySelector('.sum').innerText,
    })));
    for (const { study, series, sum } of shown) {
      const sent = expected[study];
      assert.ok(sent, `study ${study} was sent`);
      assert.deepEqual(series.map((one) => one.uid).sort(), Object.keys(sent).sort(), `every series of ${study} has one row`);
      assert.match(sum, new RegExp(`^${total(study)} object`), `the sum of ${study} is what was sent`);
      for (const one of series) {
        rows += 1;
        const known = sent[one.uid];
        assert.match(one.words, new RegExp(`\\b${known.count} (image|object)s?\\b`), `${one.words} counts ${known.count}`);
        assert.match(one.words, { viewer: /in the viewer/, readable: /readable here/, 'not-shown': /not shown: \S/ }[one.shown], one.words);
        classes.set(known.class, one.shown);
      }
    }
    if (new Set(shown.flatMap((one) => one.series).map((one) => one.shown)).size > 1 && pictures < 4) await page.screenshot({ path: `${folder}/case-${(pictures += 1)}.png` });
  }
  for (const [name, where] of [...classes].sort()) console.log(`${name.padEnd(34)} ${where}`);
  console.log(`${items.length} cases, ${rows} series rows, none missing`);
} catch (error) {
  failed = error;
  await page.screenshot({ path: `${folder}/failed.png` }).catch(() => {});
}
await chromium.close();
if (failed) console.error(`failed: ${failed.message}`);
process.exit(failed ? 1 : 0);
