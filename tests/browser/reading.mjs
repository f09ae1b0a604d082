// One case read to the end in a real browser against a real gateway, by keyboard alone: sign in, claim, see the images, account for every
// series, write, preview, sign, and wait until the report is in the PACS.
//   CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… [CAUSEWAY_CODE=case code] [CAUSEWAY_STATE=delivered] node reading.mjs <folder for screenshots>

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { browser, listen, lit, until, viewer } from './browser.mjs';

const { CAUSEWAY_URL: url, CAUSEWAY_USER: user, CAUSEWAY_PASSWORD: password, CAUSEWAY_CODE: code, CAUSEWAY_STATE: wanted = 'delivered' } = process.env;
const folder = process.argv[2];
if (!url || !user || !password || !folder) {
  console.error('usage: CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… node reading.mjs <folder for screenshots>');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const base = url.replace(/\/$/, '');
const begun = Date.now();
const step = (text) => console.log(`${((Date.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${text}`);

const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 1920, height: 1080 } });
const page = await context.newPage();
page.setDefaultTimeout(240_000);
const heard = listen(page, base);
let pictures = 0;
const picture = (name) => page.screenshot({ path: `${folder}/${String((pictures += 1)).padStart(2, '0')}-${name}.png` });
const keys = page.keyboard;

async function signIn() {
  await page.goto(base);
  await page.waitForSelector('#user');
  assert.match(await page.textContent('body'), /Not a medical device, no CE mark; the operator answers for clinical use/);
  await keys.type(user);
  await keys.press('Tab');
  await keys.type(password);
  await picture('sign-in');
  await keys.press('Enter');
  await page.waitForSelector('.list table, .list .empty', { timeout: 240_000 });
  step('signed in');
}

async function claim() {
  const spoken = code ? `tr[data-workitem]:has([data-code="${code}"])` : 'tbody[data-group="open"] tr[data-workitem]';
  const row = page.locator(spoken).first();
  await row.waitFor({ timeout: 240_000 });
  await picture('worklist');
  step(`the worklist has ${await page.locator('tr[data-workitem]').count()} cases`);
  await row.focus();
  await keys.press('Enter');
  await page.waitForSelector('.banner', { timeout: 240_000 });
  step(`claimed ${(await page.textContent('.banner')).trim()}`);
  return page.getAttribute('.banner', 'data-case');
}

async function images() {
  await page.waitForSelector('.images iframe', { timeout: 240_000 });
  const frame = await until('the viewer', () => viewer(page), 60);
  const part = await until('an image on the viewer’s canvas', async () => ((await lit(page)) > 0.03 ? lit(page) : 0), 300);
  assert.equal(await frame.evaluate(() => crossOriginIsolated), true, 'the viewer has shared memory');
  await picture('images');
  step(`the viewer shows an image (${Math.round(part * 100)} % of its canvas is lit)`);
}

const ask = (path) => page.evaluate(async (where) => (await fetch(where, { headers: { Accept: 'application/json' } })).json(), path);

async function account(id) {
  const told = await until('the study to be complete', async () => {
    const data = await ask(`/api/v1/cases/${id}`);
    return data.workitem.readiness === 'READY' ? data : null;
  }, 300);
  await until('every series on the page', async () => (await page.locator('[data-series]').count()) === told.studies.flatMap((study) => study.series).length, 30);
  for (const study of told.studies) {
    for (const series of study.series) {
      assert.ok(['viewer', 'readable', 'not-shown'].includes(series.shown), `${series.modality} says where it is seen`);
      const row = page.locator(`[data-series="${series.uid}"]`);
      assert.equal(await row.getAttribute('data-shown'), series.shown);
      step(`  ${study.role.padEnd(8)}${series.modality.padEnd(5)}${String(series.instances).padStart(5)}  ${(await row.locator('.series-what > span').last().textContent()).trim()}`);
    }
  }
  return told;
}

async function write() {
  for (const [number, text] of [[4, 'TEST. Hyperdense, spiculated lesion of the left basal ganglia with a hypodense rim. No midline shift. Ventricles of normal width. No fracture.'], [5, 'TEST. Left basal ganglia haemorrhage with perifocal oedema.'], [6, 'Neurosurgical consultation; repeat CT in six hours.']]) {
    await keys.press(`Alt+${number}`);
    await keys.press('Control+a');
    await keys.insertText(text);
  }
  await keys.press('Control+ArrowUp');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.section), 'impression');
  await until('the draft to be saved', async () => /^saved/.test(await page.textContent('.saved')), 30);
  await picture('report');
  step('the report is written and saved');
}

async function sign(told) {
  await keys.press('F8');
  await page.waitForSelector('dialog.signing button[data-act="sign"]:not([disabled])', { timeout: 240_000 });
  assert.equal(await page.textContent('dialog .banner .code'), await page.textContent('.case-top .banner .code'));
  if (told.studies.some((study) => study.role === 'current' && study.withheld.length)) {
    await page.focus('#acknowledged');
    await keys.press('Space');
  }
  await picture('preview');
  await keys.press('F9');
  const outcome = await until('an answer to the signature', () => page.evaluate(() => {
    if (document.querySelector('#unlock')) return 'unlock';
    if (document.querySelector('.report[data-report]')) return 'signed';
    const alert = document.querySelector('dialog.signing .alert[role=alert]:not([hidden])');
    return alert ? `refused: ${alert.textContent}` : null;
  }), 90);
  if (outcome === 'unlock') {
    await keys.type(password);
    await keys.press('Enter');
    await page.waitForSelector('.report[data-report]', { timeout: 240_000 });
  } else {
    assert.equal(outcome, 'signed');
  }
  await picture('signed');
  step('signed');
}

async function home() {
  await until(`the delivery to be "${wanted}"`, async () => (await page.locator('.report').first().getAttribute('data-state')) === wanted, 300);
  await picture('home');
  step((await page.textContent('.home .way + p').catch(() => wanted)).trim());
}

let failed = null;
try {
  await signIn();
  const id = await claim();
  await images();
  const told = await account(id);
  await write();
  await sign(told);
  await home();
  assert.deepEqual(heard.elsewhere, [], 'nothing was asked of another server');
} catch (error) {
  failed = error;
  await picture('failed').catch(() => {});
}
const complaints = [...new Set(heard.errors)];
if (complaints.length) console.log(`the browser said:\n  ${complaints.slice(0, 10).join('\n  ')}`);
await chromium.close();
if (failed) console.error(`failed: ${failed.message}`);
process.exit(failed ? 1 : 0);
