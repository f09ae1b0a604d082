// The case page: what was asked on the left, images in the middle, the report on the right, the same banner above all of it.

import { asSentence, get, post, Problem, sentence } from '/web/api.js';
import { fill, h } from '/web/dom.js';
import { askText, open } from '/web/dialog.js';
import { command, showHelp } from '/web/keys.js';
import { listen } from '/web/live.js';
import { keepAlive, signedIn, unlock } from '/web/session.js';
import { clock, every, moment, now } from '/web/time.js';
import { corner, lineBanner } from '/web/top.js';
import { priority } from '/web/words.js';
import { banner, caseCode } from '/web/case/banner.js';
import { reports, underWay } from '/web/case/delivery.js';
import { Draft } from '/web/case/draft.js';
import { Editor, startingText } from '/web/case/editor.js';
import { goneWords, isWithdrawn, withdrawnNotice } from '/web/case/gone.js';
import { Images, withImages } from '/web/case/images.js';
import { Letters } from '/web/case/letters.js';
import { order } from '/web/case/order.js';
import { Signing } from '/web/case/sign.js';
import { splitter } from '/web/case/splitter.js';
import { OtherCase, holds, letGo, onOrders, take } from '/web/case/windows.js';

const id = decodeURIComponent(location.pathname.split('/')[2] ?? '');
const draft = new Draft(id);
const editor = new Editor(draft);
const images = new Images();
let data = null;
let begun = false;
let images_elsewhere = false;

const top = h('div', { class: 'case-top' });
const letters = new Letters(id, () => reload());
const [first, rest] = [h('div', null), h('div', null)];
const left = h('aside', { class: 'order', 'aria-label': 'Order and series', tabindex: -1 }, first, letters.element, rest);
const notice = h('div', { class: 'notices' });
const home = h('div', { class: 'home', 'aria-live': 'polite', hidden: true });
const actions = h('div', { class: 'actions' });
const writing = h('div', { class: 'writing' }, h('h2', null, 'Report'), editor.status, h('label', { class: 'dim' }, 'in ', editor.languages));
const report = h('section', { class: 'report-side', 'aria-label': 'Report' }, notice, home, writing, editor.element, h('div', { class: 'foot' }, actions));
const middle = h('section', { class: 'middle', 'aria-label': 'Images' }, images.element);
const desk = h('div', { class: 'desk' });
const page = h('div', { class: 'page' }, top, lineBanner(), desk);

const button = (label, act, extra = {}) => h('button', { type: 'button', onclick: act, class: extra.class ?? '', disabled: extra.disabled, dataset: { act: extra.name ?? '' } }, label, extra.keys ? h('kbd', null, extra.keys) : null);

function header() {
  document.title = `${data.code} · Causeway`;
  fill(top,
    h('a', { class: 'brand', href: '/', title: 'Worklist (Alt+W)' }, h('img', { src: '/web/mark.svg', alt: 'Worklist', width: 26, height: 26 })),
    banner(data),
    h('div', { class: 'tools' },
      button(images_elsewhere ? 'Images here' : 'Second window', second, { class: 'quiet' }),
      corner()));
}

const withdrawn = () => isWithdrawn(data);

function buttons() {
  const may = data.may ?? {};
  const list = [];
  if (may.claim) list.push(button('Claim and report', claim, { class: 'primary', keys: 'Alt+C', name: 'claim' }));
  if (may.put_back) list.push(button('Put back…', putBack, { class: 'quiet' }));
  if (may.write) list.push(button('Preview and sign…', sign, { class: 'primary', keys: 'F8', name: 'preview' }));
  if (data.reports?.length && !may.write) {
    if (may.withdraw) list.push(button('Withdraw…', withdrawReport, { class: 'quiet', name: 'withdraw' }));
    if (may.correct !== false) list.push(button('Correct…', correct, { class: 'quiet' }));
    list.push(button('Next case', next, { class: 'primary', keys: 'Alt+N', name: 'next' }));
  }
  fill(actions, list);
}

function notices() {
  const may = data.may ?? {};
  const out = [];
  if (withdrawn()) out.push(h('p', { class: 'alert' }, h('strong', null, 'Withdrawn by the site. '), data.recall_reason ?? data.workitem?.reason ?? ''));
  const last = newest();
  if (last && data.recalled && last.status !== 'withdrawn') out.push(h('p', { class: 'alert' }, h('strong', null, 'A signed report stands on this study. '), data.may?.withdraw ? 'The site asks you to withdraw it: ' : 'The site asks its reader to withdraw it.', data.may?.withdraw ? button('Withdraw…', withdrawReport, { class: 'small' }) : null));
  if (last?.status === 'withdrawn') out.push(h('p', { class: 'alert', dataset: { tone: last.acknowledged ? 'plain' : 'warn' } }, h('strong', null, 'This report is withdrawn. '), last.acknowledged ? `A person at the site has seen it, ${moment(last.acknowledged, data.site?.time_zone)}.` : 'Nobody at the site has said yet that it was seen.'));
  if (data.blocked && !withdrawn()) out.push(h('p', { class: 'alert blocked' }, h('strong', null, 'Nothing may be signed now. '), data.blocked));
  const unread = isWithdrawn(data) ? 0 : letters.unread(data);
  if (unread) out.push(h('p', { class: 'alert letter-notice', dataset: { tone: 'warn' } }, h('strong', null, unread === 1 ? 'The site has written. ' : `The site has written ${unread} messages. `), button('Show', () => letters.focus() || letters.element.scrollIntoView(), { class: 'small', keys: 'Alt+M', name: 'letters' })));
  const holder = data.workitem?.claimed_by;
  if (holder && !holder.mine && data.workitem.state === 'IN PROGRESS') out.push(h('p', { class: 'alert', dataset: { tone: 'plain' } }, `${holder.name} is reading this case${holder.since ? ` since ${moment(holder.since)}` : ''}.`));
  else if (!may.write && !may.claim && !data.reports?.length && may.reasons?.length) out.push(h('p', { class: 'alert', dataset: { tone: 'plain' } }, may.reasons.map(asSentence).join(' ')));
  if (may.claim && !withdrawn()) out.push(h('p', { class: 'dim' }, data.draft ? 'Nobody reads this case now. A draft is there from before.' : 'Nobody reads this case yet.'));
  fill(notice, out);
}

function draw() {
  if (!holds(id)) return;
  header();
  letters.draw(data);
  letters.element.hidden = isWithdrawn(data);
  order({ column: left, first, rest }, data, (text) => letters.focus(text));
  reports(home, data, !data.may?.write);
  buttons();
  notices();
  editor.setWritable(Boolean(data.may?.write) && !withdrawn());
  editor.element.hidden = withdrawn() || (!data.may?.write && (!data.draft || Boolean(data.reports?.length)));
  writing.hidden = editor.element.hidden;
  report.classList.toggle('signed', Boolean(data.reports?.length) && !data.may?.write);
  if (!begun && !withdrawn() && (data.draft || data.may?.write)) {
    begun = true;
    draft.begin(data.draft, data.may?.write ? startingText(data) : null);
    editor.show(data.site?.language);
  } else if (begun && !draft.dirty && data.draft && String(data.draft.version) !== String(draft.version)) {
    draft.begin(data.draft, null);
    editor.show(data.site?.language);
  }
  if (withdrawn()) withdraw();
  else if (goneWords(data) && !withImages(data).length) images.clear(h('div', { class: 'empty' }, h('strong', null, 'There are no images any more.'), h('p', null, goneWords(data))));
  else if (images_elsewhere) images.clear(h('div', { class: 'empty' }, h('strong', null, 'The images are in the second window.'), button('Show them here', second)));
  else if (!data.studies?.some((study) => study.series?.length)) images.clear(h('div', { class: 'empty' }, h('strong', null, 'No images here yet.'), 'They appear by themselves as they arrive.'));
  else images.show(data, `Images of case ${data.code}`);
}

/** Images, open dialogs and what was typed leave this window. */
function withdraw() {
  images.clear(withdrawnNotice());
  if (!begun) return;
  begun = false;
  draft.abandon();
  editor.show(data.site?.language);
  document.querySelectorAll('dialog[open]').forEach((one) => one.close());
}

async function load(background = false) {
  const answer = await get(`/cases/${encodeURIComponent(id)}`, { background });
  data = answer.data;
}

/** Asks again and draws, without touching what is being written. */
let reloading = null;
function reload(background = false) {
  // what a person did must be seen: an answer to a question asked before it does not count
  if (reloading && background !== true) return reloading.then(() => reload());
  reloading ??= (async () => {
    try {
      await load(background === true);
      draw();
    } catch (error) {
      if (error instanceof Problem && error.status === 404) gone();
    } finally {
      reloading = null;
    }
  })();
  return reloading;
}

function gone() {
  letGo();
  images.clear();
  fill(page, h('div', { class: 'empty' }, h('strong', null, 'There is no such case for you.'), h('p', null, 'It may have been reported, withdrawn, or given to somebody else.'), h('p', null, h('a', { class: 'button', href: '/' }, 'To the worklist'))));
}

async function claim() {
  try {
    await post(`/workitems/${data.workitem.uid}/claim`);
  } catch (error) {
    const taken = error instanceof Problem && error.status === 409;
    const holder = taken && error.body.holder;
    open({ title: taken ? 'Somebody was first' : 'The case was not claimed', class: 'narrow', body: h('p', null, holder ? `${holder.name ?? holder} claimed it${error.body.since ? ` at ${moment(error.body.since)}` : ''}.` : sentence(error)), buttons: [{ label: 'Close', primary: true }] });
  }
  await reload();
  if (data.may?.write) editor.focus('findings');
}

async function putBack() {
  const reason = await askText({ title: 'Put the case back', says: 'The next reader sees your draft and this reason.', label: 'Why', confirm: 'Put back' });
  if (!reason) return;
  try {
    await draft.flush();
    await post(`/workitems/${data.workitem.uid}/put-back`, { reason });
    location.assign('/');
  } catch (error) {
    open({ title: 'The case was not put back', class: 'narrow', body: h('p', null, sentence(error)), buttons: [{ label: 'Close', primary: true }] });
    reload();
  }
}

/** The newest report, which is the one that can be withdrawn. */
const newest = () => [...(data.reports ?? [])].sort((a, b) => b.version - a.version)[0];

async function withdrawReport() {
  const report = newest();
  const reason = await askText({ title: 'Withdraw the report', says: `A new signed version goes to the hospital before everything else. It begins WITHDRAWN, DO NOT USE and takes back version ${report.version}. This cannot be undone.`, label: 'Why (stands in the new version; name nobody)', confirm: 'Sign the withdrawal' });
  if (!reason) return;
  await signWithdrawal(report.id, reason);
}

async function signWithdrawal(report, reason) {
  try {
    await post(`/cases/${id}/withdraw`, { report, reason }, { timeout: 60_000 });
    begun = false;
    await reload();
  } catch (error) {
    if (error instanceof Problem && error.kind === 'signing-key-locked') {
      if (await unlock()) await signWithdrawal(report, reason);
      return;
    }
    await reload();
    if (error instanceof Problem && error.kind === 'already-signed') return;
    open({ title: 'The report was not withdrawn', class: 'narrow', body: h('p', null, sentence(error)), buttons: [{ label: 'Close', primary: true }] });
  }
}

async function correct() {
  const reason = await askText({ title: 'Correct the report', says: 'The signed report stays as it is. A new version is written, which names it as its predecessor.', label: 'What is corrected, and why', confirm: 'Write a correction' });
  if (!reason) return;
  try {
    await post(`/cases/${id}/correct`, { reason });
    begun = false;
    await reload();
    editor.focus('findings');
  } catch (error) {
    open({ title: 'No correction was begun', class: 'narrow', body: h('p', null, sentence(error)), buttons: [{ label: 'Close', primary: true }] });
  }
}

function sign() {
  if (!data.may?.write) return;
  new Signing({
    get data() { return data; },
    draft,
    imagesMatch: () => images.matches(),
    reload,
    signed: async () => {
      draft.forget();
      begun = false;
      await reload();
      setTimeout(() => actions.querySelector('[data-act="next"]')?.focus());
    },
  }).open();
}

/** The next case that nobody has, claimed at once; the worklist when there is none. */
async function next() {
  try {
    const { data: list } = await get('/worklist');
    const open_items = list.items.filter((item) => item.state === 'SCHEDULED')
      .sort((a, b) => priority(a.priority).rank - priority(b.priority).rank || Date.parse(a.waiting_since) - Date.parse(b.waiting_since));
    for (const item of open_items.slice(0, 5)) {
      try {
        await post(`/workitems/${item.workitem}/claim`);
        location.assign(`/case/${item.case}`);
        return;
      } catch (error) {
        if (!(error instanceof Problem && error.status === 409)) throw error;
      }
    }
  } catch {
    // the worklist says what is wrong
  }
  location.assign('/');
}

function second() {
  if (images_elsewhere) {
    images_elsewhere = false;
  } else {
    const opened = window.open(`/case/${encodeURIComponent(id)}/images`, 'causeway-images');
    if (!opened) {
      open({ title: 'The browser did not open a window', class: 'narrow', body: h('p', null, 'Allow windows for this address, then try again.'), buttons: [{ label: 'Close', primary: true }] });
      return;
    }
    images_elsewhere = true;
  }
  draw();
}

function blank() {
  images.clear();
  fill(desk);
  fill(top, h('a', { class: 'brand', href: '/' }, h('img', { src: '/web/mark.svg', alt: 'Worklist', width: 26, height: 26 })));
  fill(desk, h('div', { class: 'empty blanked' }, h('strong', null, 'Another case is open in another window.'),
    h('p', null, 'This window shows nothing, so that no report can stand beside the images of somebody else. Your text is kept.'),
    h('p', null, button(['Show ', data ? caseCode(data.code) : 'this case', ' here'], () => location.reload(), { class: 'primary' }))));
  draft.save();
}

function shortcuts() {
  const group = 'Case';
  const calm = (act) => (event, modal) => (modal || !data ? false : (act(), true));
  command('F4', 'between images and report', (event, modal) => {
    if (modal) return false;
    if (event.view !== window || document.activeElement === images.frame) window.focus(), editor.at() < 0 ? editor.focus('findings') : null;
    else images.focus();
    return true;
  }, { group });
  command('F8', 'preview and sign', calm(() => sign()), { group: 'Report' });
  command('Alt+c', 'claim the case', calm(() => { if (data.may?.claim) claim(); }), { group });
  command('Alt+n', 'next case, when this one is signed', calm(() => { if (data.reports?.length && !data.may?.write) next(); }), { group });
  command('Alt+m', 'to the messages with the site', calm(() => letters.focus()), { group });
  command('Alt+w', 'to the worklist', calm(() => location.assign('/')), { group });
  command('Alt+h', 'show these keys, also while writing', () => showHelp(), { group: 'Everywhere' });
}

async function start() {
  fill(document.body, page);
  fill(desk, h('p', { class: 'loading' }, 'Loading the case…'));
  onOrders({ blank, matches: () => images.matches() });
  await signedIn();
  try {
    await take(id);
    await load();
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return gone();
    fill(desk, h('div', { class: 'empty' }, h('strong', null, 'The case could not be opened.'), h('p', null, error instanceof OtherCase ? error.message : sentence(error)), h('p', null, button('Try again', () => location.reload()))));
    return;
  }
  if (!holds(id)) return;
  desk.replaceChildren(left, middle, splitter(desk), report);
  shortcuts();
  draw();
  if (data.may?.write) editor.focus('findings');
  else actions.querySelector('button.primary')?.focus();
  keepAlive([window]);
  listen(['case', 'worklist'], (kind, event) => { if (kind !== 'worklist' && (!event.case || event.case === id)) reload(true); });
  every(5, () => {
    for (const element of document.querySelectorAll('[data-site-clock]')) element.textContent = clock(now(), element.dataset.siteClock);
  });
  setInterval(() => { if (!document.hidden && (underWay(data) || data.workitem?.readiness === 'INCOMPLETE')) reload(true); }, 5_000);
}

await start();
