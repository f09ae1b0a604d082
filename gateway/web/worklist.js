// The worklist: every case this reader may read, over all sites, the most urgent and the longest waiting first.

import { asSentence, get, post, Problem, sentence } from '/web/api.js';
import { count, fill, h, inText, joined } from '/web/dom.js';
import { open } from '/web/dialog.js';
import { toCase } from '/web/go.js';
import { command } from '/web/keys.js';
import { listen } from '/web/live.js';
import { byUrgency, waiting } from '/web/next.js';
import { heard } from '/web/ring.js';
import { who } from '/web/session.js';
import { age, clock, day, every, moment, now, setNow, since, zoneName } from '/web/time.js';
import { corner } from '/web/top.js';
import { delivery, priority, sex } from '/web/words.js';
import { caseCode } from '/web/case/banner.js';

const GROUPS = [
  ['mine', 'Yours, in progress'],
  ['open', 'To read'],
  ['others', 'With other readers'],
  ['done', 'Reported'],
];

let items = null;
let withdrawals = [];
let failed = null;
let asking = false;
let drawn = '';
let last = null;
let again = false;
/** Ends when the reader leaves the list. */
let life = null;
let claiming = false;
const list = h('div', { class: 'list', 'aria-live': 'off' }, h('p', { class: 'loading' }, 'Loading the worklist…'));
const alerts = h('div', { class: 'notices', 'aria-live': 'polite' });
const filter = h('input', { type: 'search', class: 'filter', placeholder: 'Code, site, modality, words…', 'aria-label': 'Show only cases with these words', oninput: draw });
const total = h('span', { class: 'total dim', role: 'status' });

function group(item) {
  if (item.state === 'COMPLETED') return 'done';
  if (item.state === 'SCHEDULED') return 'open';
  if (item.state === 'IN PROGRESS') return item.claimed_by?.mine ? 'mine' : 'others';
  return null;
}

function words(item) {
  return [
    item.code, item.site?.name, item.site?.country, item.claimed_by?.name, priority(item.priority).word, item.patient?.name, item.patient?.id, item.question,
    ...(item.studies ?? []).flatMap((study) => [study.description, study.body_part, ...(study.modalities ?? [])]),
  ].join(' ').toLowerCase();
}

function shown() {
  const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  return (items ?? []).filter((item) => group(item) && wanted.every((word) => words(item).includes(word)));
}

/** The next case that nobody has or reads next: the one at the head of "To read". */
const nextOpen = () => waiting(items ?? [])[0];

function arriving(item) {
  const { at_site: site = 0, held = 0, here = 0 } = item.arriving ?? {};
  // what is missing of an urgent study is no footnote
  const alarm = held && ['stat', 'urgent'].includes(item.priority);
  const out = held ? h('div', { class: alarm ? 'bad' : 'warn small' }, `${alarm ? 'Alarm: ' : ''}${count(held, 'object')} held at the site`) : null;
  if (item.readiness === 'INCOMPLETE') {
    return [h('div', { class: 'going number' }, `arriving: ${site} at the site, ${here} here`), out];
  }
  if (item.readiness === 'UNAVAILABLE') return [h('div', { class: 'bad' }, 'withdrawn by the site'), out];
  return [h('div', { class: 'number' }, count(here, 'object'), h('span', { class: 'dim' }, ', complete')), out];
}

function state(item) {
  if (item.report) {
    const home = delivery(item.report.delivery);
    return [h('div', null, item.report.status), h('div', { class: home.tone }, home.word)];
  }
  const who = item.claimed_by
    ? h('div', { class: 'dim' }, item.claimed_by.mine ? 'you' : item.claimed_by.name)
    : item.reserved
      ? h('div', { class: 'dim', title: `Until ${moment(item.reserved.until)}` }, item.reserved.mine ? 'you read it next' : `${item.reserved.name} reads it next`)
      : h('div', { class: 'dim' }, item.readiness === 'READY' ? 'ready' : '');
  return [who, item.blocked ? h('div', { class: 'warn', title: item.blocked }, 'signing blocked by the site') : null];
}

function site(item) {
  const { name, time_zone: zone, utc_offset: offset } = item.site ?? {};
  return [h('div', { class: 'site-name' }, name),
    h('div', { class: 'dim small number' }, h('span', { dataset: { siteClock: zone ?? '' } }, clock(now(), zone)), ` ${zoneName(zone, offset)}`)];
}

function study(item) {
  return (item.studies ?? []).map((one) => h('div', { class: 'study' },
    h('div', null, h('strong', null, (one.modalities ?? []).join(' ')), ' ', one.body_part ? one.body_part.toLowerCase() : '', one.description ? h('span', { class: 'description' }, one.description) : null),
    h('div', { class: 'dim small number' }, one.interval ?? day(one.date))));
}

/** The site's clinical question in one line, and whether it has written. */
function asked(item) {
  return [item.question ? h('div', { class: 'question small', dir: 'auto', title: item.question }, item.question) : null,
    item.unread ? h('div', { class: 'warn small unread' }, item.unread === 1 ? 'message from the site' : `${item.unread} messages from the site`) : null];
}

function button(item) {
  if (group(item) === 'open') {
    return h('button', { type: 'button', class: 'read', tabindex: -1, onclick: (event) => { event.stopPropagation(); claim(item); } }, 'Read');
  }
  return h('span', { class: 'dim' }, group(item) === 'mine' ? h('a', { href: `/case/${item.case}`, tabindex: -1 }, 'Go on') : '');
}

function row(item) {
  const level = priority(item.priority);
  return h('tr', {
    tabindex: 0, dataset: { workitem: item.workitem, case: item.case, level: level.word }, class: `level-${level.word.replace(' ', '-').toLowerCase()}`,
    onclick: (event) => { if (!event.target.closest('a, button') && !getSelection().toString()) look(item); },
  },
  h('td', null, h('span', { class: 'level' }, level.word)),
  h('td', { class: 'number wait' }, group(item) === 'done' ? moment(item.waiting_since) : h('span', { dataset: { since: item.waiting_since } }, since(item.waiting_since))),
  h('td', null, h('a', { class: 'code-link', href: `/case/${item.case}`, tabindex: -1 }, caseCode(item.code)),
    h('div', { class: 'dim small' }, joined(item.patient?.age ? age(item.patient.age) : 'age not known', sex(item.patient?.sex), item.identity?.mode)),
    item.identity?.established === false ? h('div', { class: 'warn small' }, 'identity not established') : null),
  h('td', null, study(item), asked(item)),
  h('td', null, arriving(item)),
  h('td', { class: 'number' }, item.priors ? h('span', { class: 'prior-count' }, count(item.priors, 'prior')) : h('span', { class: 'dim' }, 'none')),
  h('td', null, site(item)),
  h('td', null, state(item)),
  h('td', { class: 'act' }, button(item)));
}

const HEAD = ['Priority', 'Waiting', 'Case', 'Study', 'Images', 'Priors', 'Site', 'State', ''];

/** A withdrawal that nobody at the site has acknowledged, or a report that waits to be withdrawn. */
const openWithdrawal = (one) => h('p', { class: 'alert', dataset: { withdrawal: one.report, tone: one.mine ? null : 'warn' } },
  h('a', { class: 'code-link', href: `/case/${one.case}` }, caseCode(one.code)), ` ${one.site}: `, h('strong', null, asSentence(one.sentence)), h('span', { class: 'dim small' }, ` signed ${moment(one.signed_at)}`));

function draw() {
  if (failed && !items) {
    fill(list, h('div', { class: 'empty' }, h('strong', null, 'The worklist could not be loaded.'), h('p', null, sentence(failed)),
      h('p', null, h('button', { type: 'button', onclick: () => refresh() }, 'Try again'))));
    return;
  }
  if (!items) return;
  fill(alerts, withdrawals.map(openWithdrawal));
  const inList = list.contains(document.activeElement);
  const visible = shown();
  const parts = GROUPS.map(([name, title]) => {
    const some = visible.filter((item) => group(item) === name).sort(name === 'done' ? (a, b) => -byTime(a, b) : byUrgency);
    if (!some.length) return null;
    return h('tbody', { dataset: { group: name } },
      h('tr', { class: 'group' }, h('th', { colspan: HEAD.length, scope: 'rowgroup' }, title, h('span', { class: 'dim number' }, ` ${some.length}`))),
      some.map(row));
  }).filter(Boolean);
  const open_now = items.filter((item) => group(item) === 'open').length;
  total.textContent = open_now ? `${open_now} to read` : 'nothing waits';
  if (life && !life.aborted) document.title = `${open_now ? `(${open_now}) ` : ''}Worklist · Causeway`;
  if (!parts.length) {
    fill(list, h('div', { class: 'empty' }, filter.value
      ? [h('strong', null, 'No case has these words.'), h('button', { type: 'button', onclick: clear }, 'Show all')]
      : [h('strong', null, 'Nothing to read.'), 'New cases appear here by themselves.']));
    return;
  }
  fill(list, h('table', null, h('thead', null, h('tr', null, HEAD.map((title) => h('th', { scope: 'col' }, title)))), parts));
  if (inList) refocus();
}

/** Back to the case that had the focus, where it stands now. */
function refocus() {
  if (last) list.querySelector(`tr[data-workitem="${CSS.escape(last)}"]`)?.focus({ preventScroll: true });
}

const byTime = (a, b) => Date.parse(a.waiting_since) - Date.parse(b.waiting_since);

function clear() {
  filter.value = '';
  draw();
  filter.focus();
}

async function refresh({ background = false } = {}) {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  try {
    const { data } = await get('/worklist', { background });
    setNow(data.now);
    items = data.items;
    withdrawals = data.withdrawals ?? [];
    failed = null;
    heard(items);
  } catch (error) {
    failed = error;
  } finally {
    asking = false;
  }
  const state_now = JSON.stringify([items, withdrawals, failed?.message]);
  if (state_now !== drawn) draw();
  drawn = state_now;
  if (again) {
    again = false;
    refresh({ background });
  }
}

const look = (item) => toCase(item.case);

/** Claims and opens. When somebody else was first, says who and shows what is so now. */
async function claim(item) {
  if (group(item) !== 'open') return look(item);
  const here = life;
  if (claiming || !here) return undefined;
  claiming = true;
  try {
    await post(`/workitems/${item.workitem}/claim`);
    // whoever has gone elsewhere meanwhile stays there; the case stands among his own
    return here.aborted ? undefined : look(item);
  } catch (error) {
    if (here.aborted) return undefined;
    const taken = error instanceof Problem && error.status === 409;
    await refresh();
    if (here.aborted) return undefined;
    const dialog = open({
      title: taken ? 'Somebody was first' : 'The case was not claimed',
      class: 'narrow',
      body: h('p', null, taken && error.body.holder ? taker(error.body, item) : sentence(error)),
      buttons: taken ? [{ label: 'Only look', value: 'look' }, { label: 'Back to the list', primary: true }] : [{ label: 'Close', primary: true }],
    });
    if ((await dialog.closed) === 'look' && !here.aborted) look(item);
    return undefined;
  } finally {
    claiming = false;
  }
}

const holder = (one) => (typeof one === 'string' ? one : (one.name ?? 'Another reader'));

/** Who was first, and with what. */
function taker(said, item) {
  if (said.until) return `${holder(said.holder)} reads ${item.code} next. It is free again at ${moment(said.until)} if it is not read by then.`;
  return `${holder(said.holder)} claimed ${item.code}${said.since ? ` at ${moment(said.since)}` : ''}.`;
}

const rows = () => [...list.querySelectorAll('tr[data-workitem]')];

function move(step) {
  const all = rows();
  if (!all.length) return false;
  const at = all.indexOf(document.activeElement.closest('tr'));
  const to = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
  all[to].focus();
  all[to].scrollIntoView({ block: 'nearest' });
  return true;
}

const focusedItem = () => items?.find((item) => item.workitem === document.activeElement?.closest?.('tr')?.dataset.workitem);

function onFocused(act) {
  return (event, modal) => {
    const item = focusedItem();
    if (modal || !item || event.target.closest('a, button')) return false;
    act(item);
    return true;
  };
}

function shortcuts(signal) {
  const own = { group: 'Worklist', signal };
  command('ArrowDown', 'next case', (event, modal) => (modal || (inText(event.target) && event.target !== filter) ? false : move(1)), own);
  command('ArrowUp', 'previous case', (event, modal) => (modal || inText(event.target) ? false : move(-1)), own);
  command('Enter', 'claim the case and read it', onFocused(claim), own);
  command('o', 'open the case without claiming it', onFocused(look), own);
  command('n', 'claim the next case: most urgent, longest waiting', () => { const item = nextOpen(); if (item) claim(item); }, own);
  command('/', 'filter', () => filter.focus(), own);
  command('Escape', 'clear the filter', (event, modal) => { if (modal || event.target !== filter) return false; clear(); return true; }, own);
}

function tick() {
  for (const element of list.querySelectorAll('[data-since]')) element.textContent = since(element.dataset.since);
  for (const element of list.querySelectorAll('[data-site-clock]')) element.textContent = clock(now(), element.dataset.siteClock);
}

/** The list as a place of the reading room. */
export class Worklist {
  constructor() {
    this.element = h('div', { class: 'view worklist', hidden: true });
    list.addEventListener('focusin', (event) => { last = event.target.closest('tr')?.dataset.workitem ?? last; });
  }

  /** Shows the list until the signal says that the reader has gone elsewhere; whoever comes back finds his row. */
  open(signal) {
    fill(this.element,
      h('header', { class: 'top' },
        h('a', { class: 'brand', href: '/' }, h('img', { src: '/web/mark.svg', alt: '', width: 26, height: 26 }), 'Causeway'),
        h('h1', { class: 'page-title' }, 'Worklist'), total, filter,
        h('button', { type: 'button', class: 'primary', onclick: () => { const item = nextOpen(); if (item) claim(item); } }, 'Next case', h('kbd', null, 'N')),
        who()?.roles?.includes('operator') ? h('a', { href: '/admin' }, 'Administration') : null,
        corner()),
      h('main', null, alerts, list));
    life = signal;
    shortcuts(signal);
    const stops = [listen(['worklist', 'case'], () => refresh({ background: true })), every(5, tick)];
    document.addEventListener('focus-lost', refocus, { signal });
    signal.addEventListener('abort', () => stops.forEach((stop) => stop()));
    draw();
    refresh().then(() => {
      if (signal.aborted || document.activeElement !== document.body) return;
      if (last) refocus();
      if (document.activeElement === document.body) rows()[0]?.focus({ preventScroll: true });
    });
  }
}
