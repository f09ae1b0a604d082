// Signed reports and their way home: signed, on its way, at the site, in the PACS, or what failed and when it is tried next.

import { get, sentence } from '/web/api.js';
import { fill, h, joined } from '/web/dom.js';
import { moment } from '/web/time.js';
import { delivery } from '/web/words.js';
import { SECTIONS } from '/web/case/draft.js';

const FORM = { sr: 'structured report', image: 'page image', pdf: 'PDF', oru: 'HL7 message' };

const STEPS = ['signed', 'on its way', 'at the site', 'in the PACS'];
const REACHED = { waiting: 1, 'at-site': 2, delivered: 3, 'not-taken': 2, held: 2, rejected: 2 };

const name = (one) => (typeof one === 'string' ? one : [one?.title, one?.name].filter(Boolean).join(' '));

/** The gateway's sentence with its moments as the site's clock says them. */
const told = (text, zone) => String(text ?? '').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (at) => moment(at, zone));

function way(report, zone) {
  const state = report.delivery?.state ?? 'waiting';
  const reached = REACHED[state] ?? 0;
  const home = delivery(state);
  const forms = (report.delivery?.forms ?? []).filter((one, at, all) => all.length > 1 || (one.sentence !== report.delivery.sentence && one.state !== 'delivered'));
  return [
    h('ol', { class: 'way', dataset: { state } }, STEPS.map((step, at) => h('li', { class: at < reached || state === 'delivered' ? 'past' : at === reached ? 'here' : '', 'aria-current': at === reached ? 'step' : null }, step))),
    report.delivery?.sentence ? h('p', { class: home.tone }, told(report.delivery.sentence, zone)) : null,
    forms.length ? h('ul', { class: 'forms' }, forms.map((one) => form(one, zone))) : null,
  ];
}

function form(one, zone) {
  const home = delivery(one.state);
  return h('li', null,
    h('span', null, joined(one.destination, FORM[one.form] ?? one.form)),
    h('span', { class: home.tone }, told(one.sentence, zone) || home.word),
    h('span', { class: 'dim small number' }, joined(one.since && !/since/.test(one.sentence) ? `since ${moment(one.since, zone)}` : '', one.next_try && !/tried again at/.test(one.sentence) ? `next try ${moment(one.next_try, zone)}` : '')));
}

const TEXTS = new Map();

/** What was signed, word for word; asked for once, since it never changes. */
function signedText(report) {
  const element = h('div', { class: 'signed-text' });
  const show = (content) => fill(element, SECTIONS.filter((section) => content?.[section]).map((section) => [h('h4', null, section), h('p', { class: 'text', dir: 'auto', lang: content.language || null }, content[section])]));
  if (TEXTS.has(report.id)) show(TEXTS.get(report.id));
  else {
    get(`/reports/${report.id}`).then(({ data }) => {
      TEXTS.set(report.id, data.content);
      show(data.content);
    }).catch((error) => fill(element, h('p', { class: 'dim' }, sentence(error))));
  }
  return element;
}

/** The reports of a case, the newest first; with its text when nothing is being written beside it. */
export function reports(element, data, withText) {
  const zone = data.site?.time_zone;
  const all = [...(data.reports ?? [])].sort((a, b) => b.version - a.version);
  fill(element, all.map((report, at) => h('section', { class: at ? 'report older' : 'report', dataset: { report: report.id, state: report.delivery?.state ?? '' } },
    h('h3', null, `Version ${report.version}, ${report.status}`, report.withdrawn ? h('strong', { class: 'bad' }, ' withdrawn') : null),
    h('p', { class: 'dim small' }, joined(`signed ${moment(report.signed_at, zone)}`, name(report.signed_by))),
    way(report, zone),
    withText && !at ? signedText(report) : null)));
  element.hidden = !all.length;
}

/** Whether the newest report is still on its way: then it is worth asking again soon. */
export const underWay = (data) => (data.reports ?? []).some((report) => ['waiting', 'at-site', undefined].includes(report.delivery?.state));
