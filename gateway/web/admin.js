// Administration, read only: what an operator must see. What he changes, he changes with the causeway-gateway command.

import { get, Problem, sentence } from '/web/api.js';
import { fill, h } from '/web/dom.js';
import { command } from '/web/keys.js';
import { listen } from '/web/live.js';
import { signedIn } from '/web/session.js';
import { moment, since } from '/web/time.js';
import { corner, lineBanner } from '/web/top.js';
import { delivery, language } from '/web/words.js';
import { caseCode } from '/web/case/banner.js';

const short = (id) => h('span', { class: 'id', title: id }, String(id ?? '').slice(0, 12), String(id ?? '').length > 12 ? '…' : '');
const time = (text) => (text ? h('span', { title: text }, moment(text)) : '');

/** [name in the address, title, what an empty list means, [column, cell]...] */
const PARTS = [
  ['deliveries', 'Deliveries that are not home', 'Every signed report is where it belongs.', [
    ['Case', (one) => caseCode(one.code)], ['Site', (one) => one.site], ['State', (one) => h('span', { class: delivery(one.state).tone }, one.sentence || delivery(one.state).word)],
    ['Signed', (one) => [time(one.signed_at), ' ', h('span', { class: 'dim' }, since(one.signed_at))]], ['Next try', (one) => time(one.next_try)], ['Tries', (one) => one.attempts],
  ]],
  ['quarantine', 'Quarantine', 'Nothing was set aside.', [
    ['Since', (one) => time(one.received_at)], ['Site', (one) => one.site], ['Why', (one) => one.reason], ['Study', (one) => short(one.study)], ['Bytes', (one) => one.length],
  ]],
  ['sites', 'Sites', 'No site yet: causeway-gateway site add.', [
    ['Name', (one) => one.name], ['Country', (one) => one.country], ['Zone', (one) => one.time_zone], ['Language', (one) => language(one.language)], ['Telephone', (one) => one.phone],
    ['Id', (one) => short(one.id)], ['Closed', (one) => time(one.closed_at)],
  ]],
  ['agreements', 'Agreements', 'No agreement yet: causeway-gateway agreement add.', [
    ['Site', (one) => one.site], ['Reading organisation', (one) => one.organisation], ['Identity', (one) => one.identity], ['Options', (one) => (one.options ?? []).join(', ')], ['Language', (one) => language(one.language)],
    ['From', (one) => time(one.from)], ['Until', (one) => time(one.until)], ['State', (one) => h('span', { class: one.state === 'in force' ? '' : 'warn' }, one.state)], ['Id', (one) => short(one.id)],
  ]],
  ['certificates', 'Certificates', 'No site has enrolled yet.', [
    ['Of', (one) => one.holder], ['Kind', (one) => one.kind], ['Serial', (one) => short(one.serial)], ['Valid until', (one) => time(one.not_after)],
    ['State', (one) => h('span', { class: one.state === 'valid' ? '' : 'warn' }, one.state)],
  ]],
  ['users', 'Users', 'No account yet: causeway-gateway user add.', [
    ['User', (one) => one.user], ['Name', (one) => [one.title, one.name].filter(Boolean).join(' ')], ['Organisation', (one) => one.organisation], ['Registration', (one) => one.registration], ['Roles', (one) => (one.roles ?? []).join(', ')],
    ['Disabled', (one) => time(one.disabled_at)],
  ]],
];

const sections = PARTS.map(([name, title]) => h('section', { id: name }, h('h2', null, title), h('p', { class: 'dim' }, 'Loading…')));

function table(columns, items) {
  return h('div', { class: 'scroll' }, h('table', null, h('thead', null, h('tr', null, columns.map(([heading]) => h('th', { scope: 'col' }, heading)))),
    h('tbody', null, items.map((one) => h('tr', null, columns.map(([, cell]) => h('td', null, cell(one) ?? '')))))));
}

async function refresh(background = false) {
  await Promise.all(PARTS.map(async ([name, title, none, columns], at) => {
    const heading = (number) => h('h2', null, title, number ? h('span', { class: 'dim number' }, ` ${number}`) : null);
    try {
      const { items } = (await get(`/admin/${name}`, { background })).data;
      fill(sections[at], heading(items.length), items.length ? table(columns, items) : h('p', { class: 'dim' }, none));
    } catch (error) {
      const not_his = error instanceof Problem && (error.status === 403 || error.status === 404);
      fill(sections[at], heading(0), h('p', { class: not_his ? 'dim' : 'alert' }, not_his ? 'For operators only.' : sentence(error)));
    }
  }));
}

await signedIn();
fill(document.body,
  h('header', { class: 'top' },
    h('a', { class: 'brand', href: '/' }, h('img', { src: '/web/mark.svg', alt: '', width: 26, height: 26 }), 'Causeway'),
    h('h1', null, 'Administration'),
    h('nav', { 'aria-label': 'Parts' }, PARTS.map(([name, title]) => h('a', { class: 'button quiet', href: `#${name}` }, title.split(' ')[0]))),
    h('a', { href: '/' }, 'Worklist'), corner()),
  lineBanner(),
  h('main', null, sections));
command('Alt+w', 'to the worklist', () => location.assign('/'), { group: 'Administration' });
listen(['worklist'], () => refresh(true));
await refresh();
