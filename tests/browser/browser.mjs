// Debian's Chromium as the tests use it: headless, drawing in software, asking nobody but the page's own server.

import { chromium } from 'playwright-core';
import { existsSync } from 'node:fs';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A started browser; says plainly when there is none. */
export async function browser() {
  const executablePath = PLACES.find((path) => existsSync(path));
  if (!executablePath) throw new Error(`no Chromium at ${PLACES.join(', ')}: apt-get install chromium`);
  return chromium.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** Waits until `ask` answers something true, and says what it waited for when it never does. */
export async function until(what, ask, seconds = 120) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

/** Everything that a page asks of another server, and everything it complains about. */
export function listen(page, base) {
  const heard = { elsewhere: [], errors: [] };
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !/^(blob|data|about):/.test(url)) heard.elsewhere.push(url);
  });
  page.on('pageerror', (error) => heard.errors.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error') heard.errors.push(message.text()); });
  return heard;
}

/** The viewer that is seen: another may stand ready behind the page. */
export async function viewer(page) {
  for (const frame of page.frames()) {
    if (!frame.url().includes('/viewer/viewer')) continue;
    const element = await frame.frameElement().catch(() => null);
    if (element && !(await element.evaluate((one) => one.inert).catch(() => true))) return frame;
  }
  return null;
}

/** How much of the viewer's canvas is not black, from 0 to 1. */
export async function lit(page) {
  const frame = await viewer(page);
  if (!frame) return 0;
  return frame.evaluate(() => {
    const canvas = document.querySelector('canvas.cornerstone-canvas');
    if (!canvas?.width) return 0;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let bright = 0;
    for (let at = 0; at < data.length; at += 4) if (data[at] + data[at + 1] + data[at + 2] > 90) bright += 1;
    return bright / (data.length / 4);
  }).catch(() => 0);
}

/** How much of a viewer's canvas is lit, and how many slices of its stack are loaded. */
export const look = (frame) => frame.evaluate(() => {
  const canvas = document.querySelector('canvas.cornerstone-canvas');
  if (!canvas?.width) return { lit: 0, loaded: 0 };
  const small = document.createElement('canvas');
  [small.width, small.height] = [32, 32];
  const pen = small.getContext('2d');
  pen.drawImage(canvas, 0, 0, 32, 32);
  const { data } = pen.getImageData(0, 0, 32, 32);
  let lit = 0;
  for (let at = 0; at < data.length; at += 4) if (data[at] + data[at + 1] + data[at + 2] > 90) lit += 1;
  const ids = window.cornerstone?.getRenderingEngines?.()[0]?.getViewports?.()[0]?.getImageIds?.() ?? [];
  return { lit: lit / 1024, loaded: ids.filter((id) => window.cornerstone.cache.isLoaded(id)).length };
}).catch(() => ({ lit: 0, loaded: 0 }));
