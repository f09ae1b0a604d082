// How soon a reader sees a study: opens it in the viewer over a slow line and prints, as JSON, seconds from the navigation to the first image
// on the canvas (with nothing kept, and with the viewer's files kept), and until every slice is there.
//   SPEED_URL=… SPEED_STUDY=… SPEED_SLICES=… [CAUSEWAY_USER=… CAUSEWAY_PASSWORD=…] [SPEED_MBIT=50] [SPEED_RTT_MS=40] node speed.mjs
// The line is Chromium's own emulation: rate and round trip of each request, no loss and no slow start.

import { browser, look, until } from './browser.mjs';

const { SPEED_URL: url, SPEED_STUDY: study, SPEED_SLICES: slices, CAUSEWAY_USER: user, CAUSEWAY_PASSWORD: password, SPEED_MBIT: mbit = '50', SPEED_RTT_MS: rtt = '40' } = process.env;

const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 1600, height: 1000 } });
const page = await context.newPage();
page.setDefaultTimeout(240_000);
const errors = [];
page.on('pageerror', (error) => errors.push(String(error)));

async function open() {
  const begun = Date.now();
  const since = () => (Date.now() - begun) / 1000;
  await page.goto(`${url}/viewer/viewer?StudyInstanceUIDs=${study}`, { waitUntil: 'commit' });
  await until('an image', async () => (await look(page.mainFrame())).lit > 0.02, 200);
  const first = since();
  let loaded = 0;
  // requests of the viewer's workers are not told to the page's listeners: what is loaded is asked of the viewer itself
  const all = await until('every slice', async () => {
    loaded = Math.max(loaded, (await look(page.mainFrame())).loaded);
    return loaded >= Number(slices) ? since() : 0;
  }, 200).catch(() => null);
  return { first, all, loaded };
}

const result = {};
try {
  if (user) {
    await page.goto(url);
    await page.fill('#user', user);
    await page.fill('#password', password);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.list table, .list .empty');
  }
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: Number(rtt), downloadThroughput: (Number(mbit) * 1e6) / 8, uploadThroughput: (Number(mbit) * 1e6) / 8 });
  result.cold = await open();
  await page.goto('about:blank');
  result.kept = await open();
} catch (error) {
  result.failed = String(error);
}
result.errors = [...new Set(errors)].slice(0, 5);
console.log(JSON.stringify(result));
await chromium.close();
process.exit(result.failed ? 1 : 0);
