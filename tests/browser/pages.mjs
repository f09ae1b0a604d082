// How the pages behave when things go wrong, against the stand-in: node pages.mjs [folder for screenshots]. Ends 0 when all holds.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { browser, listen, until } from './browser.mjs';
import { standIn } from './stand-in.mjs';

const folder = process.argv[2];
if (folder) mkdirSync(folder, { recursive: true });
const SECTIONS = ['procedure', 'history', 'comparison', 'findings', 'impression', 'recommendation'];

const ROUNDS = Number(process.env.ROUNDS ?? 60);

/** Numbers below a bound, the same in every run. */
const dice = (seed) => (below) => {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return Math.floor((seed / 2147483648) * below);
};

const chromium = await browser();
let failures = 0;

/** One story with a gateway and a browser context of its own. */
async function story(title, tell) {
  if (!title.includes(process.env.ONLY ?? '')) return;
  const gateway = await standIn();
  const context = await chromium.newContext({ viewport: { width: 1600, height: 1000 } });
  context.setDefaultTimeout(240_000);
  const page = await context.newPage();
  const heard = listen(page, gateway.url);
  const at = Date.now();
  const shot = (name) => (folder ? page.screenshot({ path: `${folder}/${name}.png` }) : undefined);
  try {
    await page.goto(gateway.url);
    await page.fill('#user', 'reader');
    await page.fill('#password', 'correct horse');
    await page.keyboard.press('Enter');
    await page.waitForSelector('tr[data-workitem]');
    await tell({ gateway, context, page, shot, orders: gateway.state.orders });
    assert.deepEqual(heard.elsewhere, [], 'nothing is asked of another server');
    assert.deepEqual(heard.errors.filter((text) => !/Failed to load resource|inline event handler/.test(text)), [], 'no error in the page');
    console.log(`ok   ${title} (${Date.now() - at} ms)`);
  } catch (error) {
    failures += 1;
    await shot(`failed-${failures}`);
    console.log(`FAIL ${title}\n     ${error.message.split('\n').slice(0, 6).join('\n     ')}`);
  } finally {
    await context.close();
    await gateway.close();
  }
}

/** What stands in a window to which another one has not answered in time. */
const REFUSED = '.empty:has-text("does not answer")';
const claimed = (gateway, id) => Object.assign(gateway.state.cases.find((one) => one.case === id), { state: 'IN PROGRESS', readiness: 'READY', holder: { name: 'Dr. Sample Reader', mine: true } });
const open = async (page, gateway, id) => {
  await page.goto(`${gateway.url}/case/${id}`);
  await page.waitForSelector(`.banner[data-case="${id}"]`);
};
const saved = (page) => page.waitForSelector('.saved[data-state="saved"]:not(:empty)');
const draftOf = (gateway, id) => gateway.state.cases.find((one) => one.case === id).draft?.content ?? {};
const alertText = (page) => until('an alert', () => page.locator('dialog .alert[role=alert]:not([hidden])').first().textContent({ timeout: 200 }).catch(() => ''));

await story('300 characters at once by an input method, into each section: none lost, no command fired', async ({ gateway, page }) => {
  claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  const text = 'n o ? / '.repeat(37) + 'end.';
  const session = await page.context().newCDPSession(page);
  for (const name of SECTIONS) {
    await page.fill(`#section-${name}`, '');
    await page.focus(`#section-${name}`);
    await session.send('Input.insertText', { text });
  }
  await saved(page);
  await until('the draft on the server', () => SECTIONS.every((name) => draftOf(gateway, 'c2')[name] === text));
  assert.equal(await page.locator('dialog[open]').count(), 0);
  assert.ok(page.url().endsWith('/case/c2'));
});

await story('a STAT rings until it is silenced or taken, and a new one rings again', async ({ gateway, page, shot }) => {
  // two tones are one ring
  await page.addInitScript(() => {
    window.tones = 0;
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function begin(...when) { window.tones += 1; return start.apply(this, when); };
  });
  await page.reload();
  const tones = () => page.evaluate(() => window.tones);
  const asked = () => page.evaluate(() => dispatchEvent(new Event('pageshow')));
  const strip = page.locator('.stat-waits');
  const says = (words) => until(words, async () => (await strip.textContent()).includes(words));
  const of = (id) => gateway.state.cases.find((one) => one.case === id);
  await says('STAT: 1 case waiting');
  // the page before this one may still hold the bell
  await until('the ring', async () => (await tones()) === 2);
  await shot('stat-waits');
  await asked();
  await page.click('.stat-waits button');
  await strip.waitFor({ state: 'hidden' });
  assert.equal(await tones(), 2, 'once, and then silence');
  of('c3').priority = 'stat';
  await asked();
  await strip.waitFor({ state: 'visible' });
  await says('STAT: 1 case waiting');
  assert.equal(await tones(), 4, 'a new one rings');
  await page.click('.worklist [data-act="ring"]');
  of('c4').priority = 'stat';
  await asked();
  await says('STAT: 2 cases waiting (sound is off)');
  assert.equal(await tones(), 4);
  await page.reload();
  await says('STAT: 3 cases waiting (sound is off)');
  assert.equal(await tones(), 0, 'it stays off in this browser');
  await page.click('.worklist [data-act="ring"]');
  assert.equal(await tones(), 2, 'what is switched on is heard');
  for (const id of ['c1', 'c3', 'c4']) claimed(gateway, id);
  await asked();
  await strip.waitFor({ state: 'hidden' });
  assert.equal(await tones(), 2);
});

await story('a claim that somebody else won says who', async ({ page, orders, shot }) => {
  orders.claimConflict = true;
  await page.keyboard.press('n');
  await page.waitForSelector('dialog[open]');
  assert.match(await page.textContent('dialog'), /Dr\. Aino Tamm claimed K7MQ4TXN/);
  await shot('claim-lost');
});

await story('lost line: a banner, the text kept, a reload survived, saved by itself when the line is back', async ({ gateway, page, orders, shot }) => {
  claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  await page.fill('#section-findings', 'before');
  await saved(page);
  orders.down = true;
  await page.fill('#section-findings', 'typed without a line');
  await page.waitForSelector('.line-down:not([hidden])');
  await until('"not saved"', async () => /not saved/.test(await page.textContent('.saved')));
  await shot('line-down');
  orders.down = false;
  await until('the draft on the server', () => draftOf(gateway, 'c2').findings === 'typed without a line');
  await page.waitForSelector('.line-down', { state: 'hidden' });
  await page.fill('#section-findings', 'typed just before a reload');
  await page.reload();
  await page.waitForSelector('.banner');
  assert.equal(await page.inputValue('#section-findings'), 'typed just before a reload');
  await page.goto(`${gateway.url}/`);
  await page.waitForSelector('tr[data-workitem]');
  await page.goBack();
  await page.waitForSelector('.banner');
  assert.equal(await page.inputValue('#section-findings'), 'typed just before a reload');
});

await story('an ended session asks in place and loses nothing', async ({ gateway, page, shot }) => {
  claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  // what the page writes by itself is saved: what is asked for now is asked for by typing
  await saved(page);
  gateway.state.signedIn = false;
  await page.fill('#section-impression', 'typed after the session ended');
  await page.waitForSelector('dialog #again');
  await shot('session-ended');
  await page.fill('#again', 'wrong');
  await page.keyboard.press('Enter');
  assert.match(await alertText(page), /not the password/);
  await page.fill('#again', 'correct horse');
  await page.keyboard.press('Enter');
  await until('the draft on the server', () => draftOf(gateway, 'c2').impression === 'typed after the session ended');
});

await story('a draft changed elsewhere is shown beside this one, and the reader chooses', async ({ gateway, page, shot }) => {
  const one = claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  await page.fill('#section-findings', 'mine');
  await saved(page);
  one.draft = { version: 77, content: { ...one.draft.content, findings: 'from another window' } };
  await page.fill('#section-findings', 'mine, longer');
  await page.waitForSelector('dialog .columns');
  await shot('draft-conflict');
  await page.keyboard.press('Enter');
  await until('the kept text on the server', () => draftOf(gateway, 'c2').findings === 'mine, longer');
});

await story('withheld must be acknowledged; changed images and a changed identity come back to a new preview; a locked key is unlocked in place', async ({ gateway, page, shot }) => {
  const one = claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  await page.fill('#section-impression', 'No haemorrhage.');
  await page.keyboard.press('F8');
  await page.waitForSelector('.paper footer');
  await page.keyboard.press('F9');
  assert.match(await alertText(page), /withheld/);
  await page.keyboard.press('Space');
  one.arriving.here = 62;
  await page.keyboard.press('F9');
  await until('the 412', async () => /Not signed\..*images/.test(await alertText(page)));
  gateway.state.identity = 2;
  await page.keyboard.press('F9');
  await until('the 409', async () => /Not signed\..*age or sex/.test(await alertText(page)));
  await shot('identity-changed');
  gateway.state.keyLocked = true;
  await page.keyboard.press('F9');
  await page.waitForSelector('dialog #unlock');
  await shot('unlock');
  assert.equal(one.reports.length, 0);
  await page.fill('#unlock', 'correct horse');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.report[data-state="delivered"]');
  assert.equal(one.reports.length, 1);
});

await story('an incomplete study: preliminary is offered first; final needs a reason, which the preview shows before the signature', async ({ gateway, page, shot }) => {
  const one = Object.assign(claimed(gateway, 'c1'), { readiness: 'INCOMPLETE' });
  await open(page, gateway, 'c1');
  await page.fill('#section-impression', 'No haemorrhage on what is here.');
  await page.keyboard.press('F8');
  await page.waitForSelector('.paper footer');
  assert.equal(await page.locator('input[value=preliminary]').isChecked(), true);
  await page.check('input[value=final]');
  await page.waitForSelector('#override');
  await page.waitForSelector('button[data-act=sign]:not([disabled])');
  await page.keyboard.press('F9');
  assert.match(await alertText(page), /Say why/);
  await page.fill('#override', 'The site says by telephone that nothing more comes.');
  await page.keyboard.press('F9');
  await until('the preview with the reason', async () => /Complete by: The site says/.test(await page.textContent('.paper')));
  await page.waitForSelector('button[data-act=sign]:not([disabled])');
  assert.equal(one.reports.length, 0);
  await shot('override');
  await page.keyboard.press('F9');
  await page.waitForSelector('.report[data-state="delivered"] .signed-text p');
  assert.match(one.reports[0].override, /telephone/);
  await shot('signed');
});

await story('the site withdraws the case: the images go, nothing can be written', async ({ gateway, page, shot }) => {
  const one = claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  await page.waitForSelector('.images iframe:not([inert])');
  one.readiness = 'UNAVAILABLE';
  gateway.changed('c2');
  await page.waitForSelector('.images .empty');
  assert.equal(await page.locator('.images iframe:not([inert])').count(), 0);
  assert.equal(await page.getAttribute('#section-findings', 'readonly'), '');
  await shot('withdrawn');
});

await story('the site takes the case back: every window loses the images, one without events too, within 60 s', async ({ gateway, context, page, shot }) => {
  const one = claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  const second = await context.newPage();
  await second.goto(`${gateway.url}/case/c2/images`);
  const deaf = await context.newPage();
  await deaf.route('**/api/v1/events', (route) => route.abort());
  await deaf.goto(`${gateway.url}/case/c2/images`);
  const windows = { case: page, images: second, 'without events': deaf };
  for (const window of Object.values(windows)) await window.waitForSelector('iframe:not([inert])');
  await page.fill('#section-findings', 'Findings of somebody else.');
  Object.assign(one, { state: 'CANCELED', readiness: 'UNAVAILABLE', holder: null, draft: null });
  const since = Date.now();
  gateway.changed('c2');
  for (const [name, window] of Object.entries(windows)) {
    await window.waitForSelector('.withdrawn');
    const seconds = (Date.now() - since) / 1000;
    console.log(`  ${name}: ${seconds.toFixed(1)} s`);
    assert.ok(seconds < 60, `${name} took ${seconds} s`);
    assert.equal(await window.locator('iframe:not([inert])').count(), 0);
  }
  assert.equal(await page.evaluate(() => document.documentElement.innerHTML.includes('somebody else') || Object.keys(sessionStorage).some((key) => key.includes('draft'))), false, 'what was typed goes as well');
  assert.equal(await page.locator('.order .study-part').count(), 0, 'nor what was asked and sent');
  for (const [name, theme, width] of [['light', 'light', 1280], ['dark', 'dark', 1280], ['narrow', 'dark', 390]]) {
    await page.evaluate((wanted) => { document.documentElement.dataset.theme = wanted; }, theme);
    await page.setViewportSize({ width, height: 800 });
    await shot(`taken-back-${name}`);
  }
});

await story('in a narrow window a case stands in one column, and everything of it can be reached', async ({ gateway, page, shot }) => {
  claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  await page.waitForSelector('iframe:not([inert])');
  const places = () => page.evaluate(() => ['.order', '.middle', '.report-side'].map((part) => {
    const { left, width, top } = document.querySelector(part).getBoundingClientRect();
    return { left: Math.round(left), width: Math.round(width), top: Math.round(top) };
  }));
  const [order, middle, report] = await places();
  assert.ok(order.left < middle.left && middle.left < report.left, 'wide: side by side');
  for (const width of [390, 768]) {
    await page.setViewportSize({ width, height: 800 });
    const [first, second, third] = await places();
    assert.deepEqual([first.left, second.left, third.left], [0, 0, 0], `${width}: below one another`);
    assert.ok(first.top < second.top && second.top < third.top, `${width}: in the order of reading`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width}: nothing runs out at the side`);
    await shot(`case-narrow-${width}`);
    await page.fill('#section-impression', 'No fracture.');
    await page.locator('#section-impression').scrollIntoViewIfNeeded();
    await shot(`case-narrow-${width}-report`);
    await page.evaluate(() => document.querySelector('.desk').scrollTo(0, 0));
  }
});

await story('the time of the images is over: said, and no error', async ({ gateway, page, shot }) => {
  const one = claimed(gateway, 'c2');
  const words = 'images deleted 14 days after the report, under the agreement';
  one.studies.forEach((study) => { study.series = []; study.images_gone = words; });
  await open(page, gateway, 'c2');
  await page.waitForSelector('.images .empty');
  assert.match(await page.textContent('.images .empty'), /Images deleted 14 days after the report/);
  await shot('images-gone');
});

await story('how identity travels: said on the list and above the case; what is not established and what the site did to the images are named', async ({ gateway, page, shot }) => {
  const row = (id) => page.textContent(`tr[data-case="${id}"]`);
  assert.match(await row('c2'), /pseudonymous/);
  assert.match(await row('c3'), /identified/);
  assert.match(await row('c4'), /identity not established/);
  await shot('list-identity');
  await open(page, gateway, 'c2');
  assert.equal(await page.textContent('.banner [data-identity]'), 'pseudonymous');
  const side = await page.textContent('.order');
  assert.match(side, /Pseudonym.*CW3F4H7K9MNP2/);
  assert.match(side, /1 overlay removed at the site/);
  await shot('case-pseudonymous');
  await open(page, gateway, 'c3');
  assert.equal(await page.textContent('.banner [data-identity]'), 'identified');
  await open(page, gateway, 'c4');
  assert.match(await page.textContent('.order'), /Identity not established at the site/);
  await shot('case-not-established');
});

await story('the site blocks signing: the page says why, the key does nothing, and a signature under way is refused', async ({ gateway, page, shot }) => {
  const one = claimed(gateway, 'c3');
  await open(page, gateway, 'c3');
  await page.fill('#section-impression', 'Normal.');
  await page.keyboard.press('F8');
  await page.waitForSelector('button[data-act=sign]:not([disabled])');
  one.blocked = 'Images of another patient are in this study.';
  await page.keyboard.press('F9');
  await until('the 409', async () => /Not signed\..*another patient/.test(await alertText(page)));
  await page.waitForSelector('button[data-act=sign][disabled]');
  await shot('blocked-preview');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.notices .blocked');
  assert.match(await page.textContent('.notices .blocked'), /another patient/);
  await shot('blocked');
  await page.goto(gateway.url);
  await page.waitForSelector('tr[data-case="c3"]');
  assert.match(await page.textContent('tr[data-case="c3"]'), /signing blocked by the site/);
  assert.equal(one.reports.length, 0);
  one.blocked = null;
  await open(page, gateway, 'c3');
  await page.keyboard.press('F8');
  await page.waitForSelector('button[data-act=sign]:not([disabled])');
  await page.keyboard.press('F9');
  await page.waitForSelector('.report[data-state="delivered"]');
});

await story('messages with the site: seen in the list, answered by keys, kept while the page is drawn anew', async ({ gateway, page, shot }) => {
  await page.waitForSelector('tr[data-case="c2"] .unread');
  assert.match(await page.locator('tr[data-case="c2"] .question').textContent(), /left-sided weakness/);
  await shot('words-list');
  claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  const part = (name) => page.locator(`.order .${name}`);
  assert.match(await part('supplied').textContent(), /left-sided weakness[\s\S]*Renal function78 µmol\/l \(21 Nov\)[\s\S]*To be calledEmergency physician, \+372/);
  assert.match(await page.locator('.letter-notice').textContent(), /The site has written/);
  await page.keyboard.press('Alt+m');
  await page.keyboard.type('ευχαριστώ, ');
  // the page is drawn anew because somebody else did something
  const one = gateway.state.cases.find((some) => some.case === 'c2');
  one.letters.push({ id: 'l9', from: 'site', who: 'radiographer', mine: false, text: 'وصلت الصور', written: new Date().toISOString(), state: 'new', read: null });
  gateway.state.events.forEach((to) => to.write('event: case\ndata: {"case":"c2"}\n\n'));
  await page.waitForSelector('[data-letter="l9"]');
  await page.keyboard.type('which series?');
  assert.equal(await page.inputValue('#letter'), 'ευχαριστώ, which series?');
  await shot('words-case');
  await page.keyboard.press('Control+Enter');
  await page.waitForSelector('.letter.reader[data-state="sent"]');
  assert.equal(await page.inputValue('#letter'), '');
  assert.equal(await page.locator('.letter-notice').count(), 0, 'an answer reads');
  await page.click('[data-act="ask"]');
  assert.match(await page.inputValue('#letter'), /^About what is withheld: 1 × CT Secondary Capture Image · identity may be burned in\. $/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'letter');
  await shot('words-ask');
  await page.evaluate(() => { document.documentElement.dataset.theme = 'light'; });
  await page.setViewportSize({ width: 1280, height: 800 });
  await shot('words-light');
});

await story('two windows: a switch blanks the other one first; signing beside another case is refused', async ({ gateway, context, page, shot }) => {
  claimed(gateway, 'c2');
  claimed(gateway, 'c3');
  await open(page, gateway, 'c2');
  await page.fill('#section-impression', 'Of case two.');
  await saved(page);
  const other = await context.newPage();
  await open(other, gateway, 'c3');
  await page.waitForSelector('.blanked');
  assert.equal(await page.locator('iframe, textarea, .banner').count(), 0);
  await shot('blanked');
  await page.click('.blanked button');
  await page.waitForSelector('.banner[data-case="c2"]');
  await other.waitForSelector('.blanked');
  assert.equal(await page.inputValue('#section-impression'), 'Of case two.');
  // a window that does not obey: it still holds the other case
  await other.evaluate(() => { navigator.locks.request('causeway-shows/c3/deaf', () => new Promise(() => {})); });
  await page.keyboard.press('F8');
  await page.waitForSelector('.paper footer');
  await page.check('#acknowledged');
  await page.keyboard.press('F9');
  assert.match(await alertText(page), /Another window shows another case/);
  assert.equal(gateway.state.cases.find((one) => one.case === 'c2').reports.length, 0);
  await other.close();
  await until('the deaf window to be gone', async () => (await page.evaluate(async () => (await navigator.locks.query()).held.filter((one) => one.name.includes('deaf')).length)) === 0);
  await page.keyboard.press('F9');
  await page.waitForSelector('.report[data-state="delivered"]');
});

await story(`${ROUNDS} switches between two windows: never two cases at once`, async ({ gateway, context, page }) => {
  const log = new Map();
  await context.exposeBinding('tellShown', (source, showing, at) => { log.set(`${windows.indexOf(source.page)} ${showing} ${at}`, { page: source.page, showing, at }); });
  await context.addInitScript(() => {
    if (window !== window.top || location.origin === 'null') return;
    // what a page says when the next one is about to stand in its place may be dropped on its way out of the browser: the next one
    // says all of it again
    let said = JSON.parse(sessionStorage.getItem('said') ?? '[]');
    said.forEach((one) => window.tellShown(...one));
    said = [];
    const tell = (showing, at) => {
      said.push([showing, at]);
      sessionStorage.setItem('said', JSON.stringify(said));
      window.tellShown(showing, at);
    };
    // when the page before this one went, by this window's own clock: word of it from outside comes late on a busy machine. It went
    // when it was told so, or when this one began to stand in its place: a busy browser tells it afterwards
    const told = performance.getEntriesByType('navigation')[0]?.unloadEventStart;
    if (told) tell(null, Math.min(performance.timeOrigin + told, performance.timing.domLoading));
    let was = null;
    addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
      const is = document.querySelector('.case-top .banner')?.dataset.case ?? null;
      if (is !== was) tell(is, Date.now());
      was = is;
    }).observe(document.body, { childList: true, subtree: true }));
  });
  const windows = [page, await context.newPage()];
  const draw = dice(20261121);
  await Promise.all(windows.map((one) => one.goto(gateway.url)));
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = draw(2) ? windows : [...windows].reverse();
    await Promise.all([one.goto(`${gateway.url}/case/${['c2', 'c3', 'c4'][draw(3)]}`), draw(4) ? null : other.reload()]);
    if (draw(2)) await one.waitForSelector(`.banner, .blanked, ${REFUSED}`);
  }
  let now = new Map();
  let together = null;
  let shown = 0;
  for (const entry of [...log.values()].sort((a, b) => a.at - b.at)) {
    if (together && entry.at - together.at > 2) assert.fail(`${together.which} stood together for ${entry.at - together.at} ms`);
    now.set(entry.page, entry.showing);
    shown += entry.showing ? 1 : 0;
    const which = [...new Set([...now.values()].filter(Boolean))];
    together = which.length > 1 ? { which, at: entry.at } : null;
  }
  assert.equal(together, null);
  assert.ok(shown > ROUNDS / 3, `only ${shown} times a case was shown`);
  assert.ok([...log.values()].filter((entry) => !entry.showing).length > ROUNDS / 3, 'pages that go are noticed');
});

/** The viewers of a window: which case each is on, whether it is seen, and which start of the program it is. */
const viewers = (page) => page.evaluate(() => [...document.querySelectorAll('.images iframe')].map((frame) => ({
  on: new URLSearchParams(frame.contentWindow.location.search).get('case'),
  seen: !frame.inert && getComputedStyle(frame).visibility === 'visible',
  started: frame.contentWindow.started,
  unseen: frame.contentWindow.unseen,
})));

await story('a case that is left while its draft is in conflict, or not saved, loses neither text', async ({ gateway, page, orders }) => {
  const one = claimed(gateway, 'c2');
  await open(page, gateway, 'c2');
  await page.fill('#section-findings', 'mine');
  await saved(page);
  one.draft = { version: 77, content: { ...one.draft.content, findings: 'from another window' } };
  await page.fill('#section-findings', 'mine, longer');
  await page.waitForSelector('dialog .columns');
  await page.evaluate(() => { history.pushState(null, '', '/'); dispatchEvent(new PopStateEvent('popstate')); });
  await page.waitForSelector('tr[data-workitem]');
  await new Promise((resolve) => { setTimeout(resolve, 1_500); });
  assert.equal(draftOf(gateway, 'c2').findings, 'from another window', 'nobody has chosen yet');
  await page.click('tr[data-case="c2"] a.code-link');
  await page.waitForSelector('dialog .columns');
  await page.keyboard.press('Enter');
  await until('the kept text on the server', () => draftOf(gateway, 'c2').findings === 'mine, longer');
  orders.down = true;
  await page.fill('#section-findings', 'typed without a line, and left');
  await until('"not saved"', async () => /not saved/.test(await page.textContent('.saved')));
  await page.keyboard.press('Alt+w');
  await until('the list', () => page.evaluate(() => document.body.dataset.view === 'list'));
  orders.down = false;
  await until('the draft on the server', () => draftOf(gateway, 'c2').findings === 'typed without a line, and left');
});

await story('a viewer stands ready behind the list: it is the one that is used, and the back button comes back to the row', async ({ page, shot }) => {
  const [ready] = await until('a viewer', async () => { const all = await viewers(page); return all[0]?.started ? all : null; });
  assert.deepEqual([ready.on, ready.seen], [null, false]);
  await page.focus('tr[data-case="c2"]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.banner[data-case="c2"]');
  const [used, ...more] = (await viewers(page)).filter((one) => one.seen);
  assert.deepEqual([used.on, used.started, more.length], ['c2', ready.started, 0]);
  assert.ok(page.url().endsWith('/case/c2'));
  assert.equal(await page.evaluate(() => document.activeElement.dataset.section), 'findings');
  await page.keyboard.type('Typed and left.');
  await shot('case-in-place');
  await page.goBack();
  await page.waitForSelector('tr[data-case="c2"]');
  assert.equal(await page.evaluate(() => document.activeElement.closest('tr')?.dataset.case), 'c2');
  assert.equal(await page.locator('.banner, textarea, .images iframe:not([inert])').count(), 0, 'nothing of the case is left on the page');
  assert.deepEqual((await viewers(page)).filter((one) => one.on === 'c2'), [], 'nor its images behind it');
  await shot('list-again');
  await page.goForward();
  await page.waitForSelector('.banner[data-case="c2"]');
  assert.equal(await page.inputValue('#section-findings'), 'Typed and left.');
  await page.keyboard.press('Alt+w');
  await page.waitForSelector('tr[data-case="c2"]');
  await page.keyboard.press('?');
  assert.doesNotMatch(await page.textContent('dialog.help'), /next section/, 'the keys of the case are gone with it');
});

await story('the next case goes ahead: reserved, loaded where nobody sees it, written down as such, and opened without a new start', async ({ gateway, page, shot }) => {
  const c2 = claimed(gateway, 'c2');
  gateway.state.cases.find((one) => one.case === 'c1').state = 'COMPLETED';
  await open(page, gateway, 'c2');
  const ahead = await until('the next case behind this one', async () => (await viewers(page)).find((one) => one.on === 'c3'));
  assert.deepEqual([ahead.seen, ahead.unseen], [false, true]);
  assert.equal(gateway.state.cases.find((one) => one.case === 'c3').reserved.mine, true);
  assert.ok(gateway.state.seen.includes('GET /cases/c3 ahead') && !gateway.state.seen.includes('GET /cases/c3'));
  await page.fill('#section-impression', 'Done.');
  await page.keyboard.press('F8');
  await page.waitForSelector('button[data-act=sign]:not([disabled])');
  await page.check('#acknowledged');
  await page.keyboard.press('F9');
  await page.waitForSelector('.report[data-report]');
  assert.equal(gateway.state.seen.filter((one) => one.endsWith('/reserve')).length, 2, 'kept once more while he signs');
  // others read meanwhile, and one of them takes the next case: another goes ahead
  Object.assign(gateway.state.cases.find((one) => one.case === 'c3'), { state: 'IN PROGRESS', holder: { name: 'Dr. Aino Tamm', mine: false }, reserved: null });
  assert.equal(c2.reports.length, 1);
  await page.keyboard.press('Alt+n');
  await page.waitForSelector('.banner[data-case="c4"]');
  assert.deepEqual((await viewers(page)).filter((one) => one.on === 'c3'), [], 'what somebody else reads is not kept');
  await page.goto(gateway.url);
  await page.waitForSelector('tr[data-case="c4"]');
  Object.assign(gateway.state.cases.find((one) => one.case === 'c3'), { state: 'SCHEDULED', holder: null, reserved: { name: 'Dr. Aino Tamm', mine: false, until: new Date(Date.now() + 90_000).toISOString() } });
  gateway.changed('c3');
  await until('the reservation', async () => /Dr\. Aino Tamm reads it next/.test(await page.textContent('tr[data-case="c3"]')));
  await shot('reserved');
  await page.focus('tr[data-case="c3"]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  assert.match(await page.textContent('dialog'), /reads 4HPX7KQA next\. It is free again at/);
});

await story('the next case, taken: the viewer that loaded it is the one that is seen', async ({ gateway, page }) => {
  claimed(gateway, 'c4');
  gateway.state.cases.find((one) => one.case === 'c1').state = 'COMPLETED';
  await open(page, gateway, 'c4');
  const ahead = await until('the next case behind this one', async () => (await viewers(page)).find((one) => one.on === 'c2'));
  await page.fill('#section-impression', 'Done.');
  await page.keyboard.press('F8');
  await page.waitForSelector('button[data-act=sign]:not([disabled])');
  await page.keyboard.press('F9');
  await page.waitForSelector('.report[data-report]');
  await page.keyboard.press('Alt+n');
  await page.waitForSelector('.banner[data-case="c2"]');
  const seen = (await viewers(page)).filter((one) => one.seen);
  assert.deepEqual(seen, [{ on: 'c2', seen: true, started: ahead.started, unseen: false }]);
});

await story(`${ROUNDS} switches in place in two windows: one case a window, one case in all, and the images are of that case`, async ({ gateway, context, page }) => {
  for (const one of ['c2', 'c3', 'c4']) claimed(gateway, one);
  const log = [];
  await context.exposeBinding('tellShown', (source, showing, at) => { log.push({ page: source.page, showing, at }); });
  const wrong = [];
  await context.exposeBinding('tellWrong', (source, words) => { wrong.push(words); });
  const other = await context.newPage();
  const windows = [page, other];
  for (const one of windows) {
    await open(one, gateway, 'c2');
    await one.evaluate(() => {
      let was = document.querySelector('.case-top .banner')?.dataset.case ?? null;
      window.tellShown(was, Date.now());
      const look = () => {
        const is = document.querySelector('.case-top .banner')?.dataset.case ?? null;
        if (is !== was) window.tellShown(is, Date.now());
        was = is;
        for (const frame of document.querySelectorAll('iframe:not([inert])')) {
          const on = new URLSearchParams(frame.getAttribute('src').includes('case=') ? new URL(frame.src).search : frame.contentWindow.location.search).get('case');
          if (on !== is) window.tellWrong(`images of ${on} beside ${is}`);
        }
      };
      new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true });
    });
  }
  const draw = dice(20261130);
  for (let round = 0; round < ROUNDS; round += 1) {
    const one = windows[draw(2)];
    const to = ['/case/c2', '/case/c3', '/case/c4', '/'][draw(4)];
    await one.evaluate((path) => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }, to);
    if (draw(2)) await one.waitForSelector(to === '/' ? 'tr[data-workitem]' : `.banner, .blanked, ${REFUSED}`);
  }
  await new Promise((resolve) => { setTimeout(resolve, 200); });
  assert.deepEqual(wrong, []);
  const now = new Map();
  let shown = 0;
  for (const entry of log.sort((a, b) => a.at - b.at)) {
    now.set(entry.page, entry.showing);
    shown += entry.showing ? 1 : 0;
    const which = [...new Set([...now.values()].filter(Boolean))];
    assert.ok(which.length < 2, `${which} stood together`);
  }
  assert.ok(shown > ROUNDS / 4, `only ${shown} times a case was shown`);
});

await story('keys: help, filter, arrows; an empty filter result has a way back', async ({ page, shot }) => {
  await page.keyboard.press('?');
  await page.waitForSelector('dialog.help');
  await shot('keys');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog.help', { state: 'detached' });
  await page.keyboard.press('/');
  await page.keyboard.type('no such case?');
  await page.waitForSelector('.empty');
  assert.equal(await page.locator('dialog').count(), 0, 'a ? that is text is text');
  await page.keyboard.press('Escape');
  await page.waitForSelector('tr[data-workitem]');
  await page.fill('.filter', 'naxos head');
  assert.equal(await page.locator('tr[data-workitem]').count(), 1);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('o');
  await page.waitForSelector('.banner[data-case="c1"]');
});

await chromium.close();
console.log(failures ? `${failures} stories failed` : 'all stories hold');
process.exit(failures ? 1 : 0);
