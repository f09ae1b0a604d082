// How soon a reader who works from the list sees his cases over a slow line: looks at the list, takes the first case, reads it, signs it and
// takes the next. Prints as JSON the seconds from the key to the first image on the canvas and until every slice is there, and from the
// key for the next case to its first image.
//   CAUSEWAY_URL=… CAUSEWAY_USER=… CAUSEWAY_PASSWORD=… SPEED_STUDY=… SPEED_SLICES=… [SPEED_MBIT=50] [SPEED_RTT_MS=40] node next.mjs [folder for screenshots]
// Two cases of that many slices must be the first on the list; SPEED_STUDY is another, on which the viewer was used once before. The line is Chromium's own emulation, as in speed.mjs.

import { browser, look, until, viewer } from './browser.mjs';

const { CAUSEWAY_URL: url, CAUSEWAY_USER: user, CAUSEWAY_PASSWORD: password, SPEED_STUDY: study, SPEED_SLICES: slices, SPEED_MBIT: mbit = '50', SPEED_RTT_MS: rtt = '40' } = process.env;
const folder = process.argv[2];
/** So long a reader looks at a list. */
const LOOKS_MS = 8_000;

const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 1600, height: 1000 } });
const page = await context.newPage();
page.setDefaultTimeout(240_000);
const errors = [];
page.on('pageerror', (error) => errors.push(String(error)));
const picture = (name) => (folder ? page.screenshot({ path: `${folder}/${name}.png` }) : undefined);

const banner = () => page.evaluate(() => document.querySelector('.case-top .banner')?.dataset.case ?? null);

/** Seconds from now until the viewer that is seen shows an image of another case than `before`. */
async function shown(before) {
  const begun = Date.now();
  const end = begun + 120_000;
  for (;;) {
    const frame = await viewer(page);
    const on = await banner();
    if (frame && on && on !== before && (await look(frame)).lit > 0.02) return [(Date.now() - begun) / 1000, on, begun];
    if (Date.now() > end) throw new Error('waited for an image');
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** The viewer behind the page, once it has a case. */
const behind = () => page.frames().find((frame) => frame.url().includes('/viewer/viewer') && !frame.seen);

async function sign() {
  await page.fill('#section-impression', 'TEST. No haemorrhage.');
  await page.keyboard.press('F8');
  await page.waitForSelector('dialog.signing button[data-act="sign"]:not([disabled])');
  await page.keyboard.press('F9');
  const outcome = await until('an answer to the signature', () => page.evaluate(() => (document.querySelector('#unlock') ? 'unlock' : document.querySelector('.report[data-report]') ? 'signed' : null)), 90);
  if (outcome === 'unlock') {
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.report[data-report]');
  }
}

const result = {};
try {
  await page.goto(url);
  await page.fill('#user', user);
  await page.fill('#password', password);
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: Number(rtt), downloadThroughput: (Number(mbit) * 1e6) / 8, uploadThroughput: (Number(mbit) * 1e6) / 8 });
  await page.keyboard.press('Enter');
  await page.waitForSelector('.list table');
  await page.goto(`${url}/viewer/viewer?StudyInstanceUIDs=${study}`);
  await until('the viewer', async () => (await look(page.mainFrame())).lit > 0.02);
  await page.goto(url);
  await page.waitForSelector('tbody[data-group="open"] tr[data-workitem]');
  await new Promise((resolve) => { setTimeout(resolve, LOOKS_MS); });
  await page.keyboard.press('n');
  const [first, one, begun] = await shown(null);
  result.first = first;
  await picture('first');
  const now = await viewer(page);
  now.seen = true;
  result.all = await until('every slice', async () => ((await look(now)).loaded >= Number(slices) ? (Date.now() - begun) / 1000 : 0), 200);
  result.ahead = await until('the next case', async () => {
    const frame = behind();
    return frame && (await look(frame)).loaded >= Number(slices) ? (Date.now() - begun) / 1000 : 0;
  }, 200);
  await sign();
  await page.keyboard.press('Alt+n');
  const [next] = await shown(one);
  result.next = next;
  await picture('next');
} catch (error) {
  result.failed = String(error);
  await picture('failed');
}
result.errors = [...new Set(errors)].slice(0, 5);
console.log(JSON.stringify(result));
await chromium.close();
process.exit(result.failed ? 1 : 0);
