// The left side of a case: what was asked, what was sent, what was held back, and where each series can be seen (P18).

import { asSentence, get, Problem, sentence } from '/web/api.js';
import { count, fill, h, joined } from '/web/dom.js';
import { open } from '/web/dialog.js';
import { age, clock, day, hour, moment, now, zoneName } from '/web/time.js';
import { language, sex } from '/web/words.js';
import { current, made, priors } from '/web/case/banner.js';
import { isWithdrawn } from '/web/case/gone.js';
import { supplied } from '/web/case/supplied.js';

const fact = (name, value) => (value === null || value === undefined || value === '' ? null : [h('dt', null, name), h('dd', null, value)]);

const REQUEST = { admitting_diagnoses: 'Diagnoses', patient_comments: 'On the patient', description: 'Study', reason: 'Reason', referrer: 'Referred by', procedure: 'Procedure', comments: 'Comments', protocol: 'Protocol', history: 'History' };

const title = (key) => REQUEST[key] ?? key.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase());

const list = (value) => (Array.isArray(value) ? value.join(', ') : typeof value === 'object' && value ? Object.values(value).filter(Boolean).join(', ') : String(value ?? ''));

function request(data) {
  const said = data.request_text;
  const rows = typeof said === 'string' ? [['The headers say', said]] : Object.entries(said ?? {}).map(([key, value]) => [title(key), list(value)]);
  const hidden = data.identity?.mode === 'pseudonymous';
  const patient = [...new Set([data.patient?.name, data.patient?.id])];
  return h('section', { class: 'part' }, h('h2', null, 'What the image headers say'),
    h('dl', { class: 'facts' },
      fact(hidden ? 'Pseudonym' : 'Patient', joined(...patient)),
      hidden ? fact('Identity', 'stays at the site') : null,
      fact('Born', data.patient?.birth_date ? `${day(data.patient.birth_date)}` : ''),
      fact('Age, sex', joined(data.patient?.age ? age(data.patient.age) : 'age not known', sex(data.patient?.sex))),
      rows.map(([name, value]) => fact(name, value)),
      current(data).map((study) => fact('Accession', study.accession))),
    data.identity?.established === false ? h('p', { class: 'warn' }, asSentence(data.identity.sentence)) : null);
}

const SHOWN = { viewer: 'in the viewer', readable: 'readable here', 'not-shown': 'not shown' };

function series(data, study, one) {
  const what = one.class_name || one.class;
  const place = one.shown === 'readable'
    ? h('button', { type: 'button', class: 'small', onclick: () => read(data, study, one) }, 'Read')
    : null;
  const words = one.shown === 'not-shown' ? `not shown: ${one.reason || what}` : SHOWN[one.shown] ?? one.shown;
  return h('li', { class: `series ${one.shown}`, dataset: { series: one.uid, shown: one.shown } },
    h('span', { class: 'series-number number' }, one.number ?? ''),
    h('span', { class: 'series-what' },
      h('span', null, h('strong', null, one.modality), ' ', one.description || what),
      h('span', { class: 'dim small' }, joined(count(one.instances, one.shown === 'viewer' ? 'image' : 'object'), words))),
    place);
}

function withheld(study, ask) {
  if (!study.withheld?.length) return null;
  const words = (one) => `About what is withheld: ${withheldWords(one)}. `;
  return h('div', { class: 'alert', dataset: { tone: 'warn' } }, h('strong', null, 'Withheld at the site'),
    h('ul', null, study.withheld.map((one) => h('li', null, withheldWords(one), ' ', ask ? h('button', { type: 'button', class: 'small', dataset: { act: 'ask' }, onclick: () => ask(words(one)) }, 'Ask the site') : null))));
}

/** What came and is not shown, because it is in doubt whether or whose it is. */
function quarantined(study) {
  if (!study.quarantined?.length) return null;
  return h('div', { class: 'alert', dataset: { tone: 'warn' } }, h('strong', null, 'Set aside at the gateway, not shown'),
    h('ul', null, study.quarantined.map((one) => h('li', null, `${count(one.count, 'object')}: ${one.reason}`))));
}

export const withheldWords = (one) => joined(`${one.count} × ${one.modality || ''} ${one.class_name || one.class || ''}`.replace(/\s+/g, ' ').trim(), one.reason);

/** What the site did to the images; the report says it too. */
function remarks(study) {
  if (!study.remarks?.length) return null;
  return h('div', { class: 'alert remarks', dataset: { tone: 'plain' } }, h('strong', null, 'Done to the images at the site'),
    h('ul', null, study.remarks.map((one) => h('li', { dir: 'auto' }, one))));
}

/** Every series, and the sum of them against what the site's manifest says. */
function accounted(study) {
  const sum = (kind) => study.series.filter((one) => !kind || one.shown === kind).reduce((total, one) => total + one.instances, 0);
  const parts = [['viewer', 'in the viewer'], ['readable', 'readable here'], ['not-shown', 'not shown']].filter(([kind]) => sum(kind));
  return h('p', { class: 'sum dim small number' }, `${count(sum(), 'object')}: `, parts.map(([kind, words]) => `${sum(kind)} ${words}`).join(', ') || 'none',
    study.withheld?.length ? `, ${study.withheld.reduce((total, one) => total + one.count, 0)} withheld` : '', '.');
}

/** `prior` is the number of a prior, from 1 on, or 0. */
function study(data, one, prior, ask) {
  const zone = data.site?.time_zone;
  return h('section', { class: prior ? 'part study-part prior' : 'part study-part', dataset: { study: one.uid } },
    h('h2', null, prior ? h('span', { class: 'prior-word' }, one.interval ? `Prior ${prior}` : 'Prior') : null, one.description || (prior ? 'Earlier study' : 'Study')),
    h('p', { class: 'dim small number' }, joined(made(one), hour(one.time), one.sealed_at && !prior ? `complete since ${moment(one.sealed_at, zone)}` : null)),
    withheld(one, prior ? null : ask),
    quarantined(one),
    remarks(one),
    one.series?.length ? h('ul', { class: 'all-series' }, one.series.map((s) => series(data, one, s))) : h('p', { class: 'dim' }, one.images_gone ? asSentence(one.images_gone) : 'No series here yet.'),
    one.series?.length ? accounted(one) : null);
}

function arriving(data) {
  const { at_site: site = 0, held = 0, here = 0 } = data.arriving ?? {};
  if (data.workitem?.readiness === 'READY') return null;
  return h('section', { class: 'part' }, h('p', { class: 'alert number', dataset: { tone: 'plain' } },
    `Arriving: ${site} at the site, ${here} here.`, held ? ` ${count(held, 'object')} held at the site.` : ''));
}

function site(data) {
  const { name, country, time_zone: zone, utc_offset: offset, language: spoken, phone } = data.site ?? {};
  return h('section', { class: 'part' }, h('h2', null, 'Site'),
    h('p', null, joined(name, country)),
    h('dl', { class: 'facts' },
      fact('Time there', [h('span', { class: 'number', dataset: { siteClock: zone ?? '' } }, clock(now(), zone)), ` ${zoneName(zone, offset)}`]),
      fact('Language', language(spoken)),
      fact('Telephone', phone ? h('a', { href: `tel:${phone.replace(/[^+\d]/g, '')}` }, phone) : null)));
}

/** Draws around the letters, which stay where they are. `column` scrolls; `ask` begins a message to the site. */
export function order({ column, first, rest }, data, ask) {
  const at = column.scrollTop;
  const before = priors(data);
  // of a case that was taken back nothing is left to read but whom to ask
  if (isWithdrawn(data)) {
    fill(first);
    fill(rest, site(data));
    return;
  }
  fill(first, arriving(data), supplied(data));
  fill(rest, request(data),
    current(data).map((one) => study(data, one, 0, data.may?.letter === false ? null : ask)),
    before.map((one, at) => study(data, one, at + 1)),
    before.length ? null : h('section', { class: 'part' }, h('h2', null, 'Priors'), h('p', { class: 'dim' }, 'None were sent.')),
    site(data));
  column.scrollTop = at;
}

/** The SOP Instance UIDs of a series. */
async function objects(data, owner, one) {
  if (one.instances === 1 && one.first) return [one.first];
  const asked = await fetch(`/dicomweb/cases/${data.case}/studies/${owner.uid}/series/${one.uid}/instances`, { headers: { Accept: 'application/dicom+json' } });
  if (!asked.ok) throw new Problem(asked.status, await asked.json().catch(() => ({})));
  const found = asked.status === 204 ? [] : await asked.json();
  return found.map((object) => object['00080018']?.Value?.[0]).filter(Boolean);
}

/** Reads a structured report or the like as text; the objects of the series are asked for when they are wanted. */
async function read(data, owner, one) {
  const body = h('div', { class: 'readable' }, h('p', { class: 'dim' }, 'Loading…'));
  open({ title: joined(one.description || one.class_name, made(owner)), class: 'wide', body, buttons: [{ label: 'Close', primary: true }] });
  try {
    const texts = await Promise.all((await objects(data, owner, one)).map((uid) => get(`/cases/${data.case}/readable/${owner.uid}/${one.uid}/${uid}`, { headers: { Accept: 'text/plain' } })));
    fill(body, texts.length ? texts.map(({ data: text }) => h('pre', { dir: 'auto' }, typeof text === 'string' ? text : text.text)) : h('p', null, 'There is nothing in this series yet.'));
  } catch (error) {
    fill(body, h('p', { class: 'alert' }, sentence(error)));
  }
}
