// The site page in a real browser: every page as a picture, in light and dark, wide and narrow, and what a person does with it.
//   node site.mjs <folder>   CAUSEWAY_SITE=… CAUSEWAY_RADIOGRAPHER=… CAUSEWAY_ADMINISTRATOR=… (passwords) CAUSEWAY_CASE=… CAUSEWAY_READ=…

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { browser, listen, until } from './browser.mjs';

const { CAUSEWAY_SITE: url, CAUSEWAY_RADIOGRAPHER: radiographer, CAUSEWAY_ADMINISTRATOR: administrator } = process.env;
const { CAUSEWAY_CASE: held, CAUSEWAY_READ: read } = process.env;
const [folder] = process.argv.slice(2);
if (!url || !radiographer || !administrator || !held || !read || !folder) {
  console.error('usage: CAUSEWAY_SITE=… CAUSEWAY_RADIOGRAPHER=… CAUSEWAY_ADMINISTRATOR=… CAUSEWAY_CASE=… CAUSEWAY_READ=… node site.mjs <folder>');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: 'dark', timezoneId: 'Europe/Athens' });
const page = await context.newPage();
page.setDefaultTimeout(240_000);
const heard = listen(page, url);
const picture = (name) => page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
const text = () => page.innerText('main');

async function signIn(name, password) {
  await page.fill('#name', name);
  await page.fill('#password', password);
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
}

let failed = null;
try {
  await page.goto(`${url}/case/${held}`);
  assert.match(page.url(), /\/sign-in\?to=/, 'nothing without signing in');
  await page.waitForFunction(() => document.activeElement.id === 'name');
  await signIn('radiographer', 'not this one');
  assert.match(await text(), /Name or password are not right/);
  await picture('sign-in-wrong');
  heard.errors.length = 0; // the browser notes the 401
  await signIn('radiographer', radiographer);
  assert.match(page.url(), new RegExp(`/case/${held}$`), 'where it wanted to go');

  await page.goto(`${url}/work`);
  assert.match(await text(), /Withheld: these objects stay here/);
  assert.match(await text(), /Blocked: nobody can sign these/);
  assert.doesNotMatch(await page.innerText('time'), /UTC/, 'times are local');
  await picture('work-dark');
  await page.click('[data-act="theme"]');
  await picture('work-light');
  await page.reload();
  assert.equal(await page.getAttribute('html', 'data-theme'), 'light', 'the choice stays');

  await page.keyboard.press('/');
  await page.waitForURL(/\/find$/);
  await page.waitForSelector('#what:focus');
  await page.keyboard.type(`${held.slice(0, 4)} ${held.slice(4)}`.toLowerCase());
  await page.keyboard.press('Enter');
  await page.waitForSelector('.found');
  assert.doesNotMatch(page.url(), /what=/, 'what is looked for stands in no address');
  await picture('found');
  await page.fill('#what', 'nobody');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.empty');
  await picture('found-nothing');

  await page.goto(`${url}/case/${held}`);
  await picture('case-held');
  await page.fill('#question', 'Fall on the stairs. Bleeding?');
  await page.fill('#renal', 'eGFR 74 mL/min');
  await page.fill('#call_role', 'emergency doctor');
  await page.fill('#call_number', '+30 210 0000001');
  await page.click('form.context button');
  await page.waitForURL(/said=context/);
  assert.match(await text(), /On its way|At the reader's side/);
  await page.fill('#reason', 'looked at it in the PACS, no name in the picture');
  await page.locator('input[name="object"]').first().uncheck();
  await page.click('button[value="release"]');
  await page.waitForURL(/said=released/);
  await page.fill('#block-reason', 'same patient, new number after the merge');
  await page.click('button[value="lift"]');
  await page.waitForURL(/said=unblocked/);
  await page.click('button[value="stat"]');
  await page.waitForURL(/said=raised/);
  assert.match(await page.innerText('.banner'), /STAT/);
  await page.click('#recall summary');
  await picture('case-decided');

  await page.goto(`${url}/case/${read}`);
  await picture('case-read');
  await page.click('#reports a');
  await page.waitForSelector('.paper');
  await picture('report');
  await page.pdf({ path: `${folder}/report.pdf`, format: 'A4' });
  await page.emulateMedia({ media: 'print' });
  await picture('report-print');
  await page.emulateMedia({ media: 'screen' });
  await page.goto(`${url}/status`);
  await picture('status-light');
  await page.click('[data-act="theme"]');
  await picture('status-dark');
  await page.goto(`${url}/help`);
  await picture('help');

  await page.goto(`${url}/work`);
  await page.evaluate(() => document.querySelector('[data-refresh]').append('old'));
  await until('the list to become fresh by itself', async () => !(await text()).includes('old'), 40);

  await page.setViewportSize({ width: 420, height: 800 });
  await picture('work-narrow');
  const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
  assert.ok(await fits(), 'nothing runs out of a narrow window');
  await page.goto(`${url}/case/${held}`);
  await picture('case-narrow');
  assert.ok(await fits(), 'nothing runs out of a narrow window');
  await page.setViewportSize({ width: 1360, height: 900 });
  assert.equal((await page.goto(`${url}/case/AAAAAAAA`)).status(), 404);
  await picture('no-case');
  heard.errors.length = 0; // the browser notes the 404

  await page.goto(`${url}/work`);
  await page.click('text=Sign out');
  await page.waitForURL(/sign-in/);
  await signIn('administrator', administrator);
  await page.click('text=Accounts');
  await page.waitForSelector('#new');
  await page.fill('#name', 'night.shift');
  await page.fill('#password', 'a password for the night');
  await page.click('text=Make the account');
  await page.waitForURL(/said=account-made/);
  await page.locator('summary').first().click();
  await picture('accounts');
  await page.goto(`${url}/case/${held}`);
  assert.equal(await page.locator('button[value="release"]').count(), 0, 'an administrator does not decide');
  await picture('case-administrator');

  assert.deepEqual(heard.elsewhere, [], 'nothing was asked of another server');
  assert.deepEqual(heard.errors, [], 'the browser complains about nothing');
} catch (error) {
  failed = error;
  await picture('failed').catch(() => {});
}
await chromium.close();
if (failed) console.error(`failed: ${failed.stack}`);
else console.log('the site page holds');
process.exit(failed ? 1 : 0);
