// What the site says of a case: first on the left, in its own words.

import { h, joined } from '/web/dom.js';
import { current, made } from '/web/case/banner.js';

const FIELDS = [['contrast', 'Contrast'], ['renal', 'Renal function'], ['allergy', 'Allergy'], ['pregnancy', 'Pregnancy'], ['weight_kg', 'Weight'], ['call_role', 'To be called']];

const text = (value) => h('span', { dir: 'auto' }, value);

function value(said, key) {
  if (key === 'renal') return [text(said.renal), said.renal_date ? ` (${said.renal_date})` : ''];
  if (key === 'weight_kg') return [text(said.weight_kg), ' kg'];
  if (key === 'call_role') {
    const number = said.call_number;
    return [text(joined(said.call_role)), said.call_role && number ? ', ' : '', number ? h('a', { href: `tel:${number.replace(/[^+\d]/g, '')}` }, h('bdi', null, number)) : ''];
  }
  return text(said[key]);
}

const says = (said, key) => said[key] || (key === 'call_role' && said.call_number);

function facts(said) {
  const rows = FIELDS.filter(([key]) => says(said, key));
  return rows.length ? h('dl', { class: 'facts' }, rows.map(([key, name]) => [h('dt', null, name), h('dd', null, value(said, key))])) : null;
}

/** The question of a study, when the site has asked one. */
export const asked = (data) => (data.context ?? []).map((said) => said.question).filter(Boolean).join('\n');

/** The site's words when it gave some; else what the headers carry, said to be from there; else that there is none. */
export function supplied(data) {
  const all = data.context ?? [];
  const carried = asked(data) ? null : data.request_text?.reason || data.request_text?.history;
  const of = (said) => current(data).find((study) => study.uid === said.study);
  const named = (said) => (all.length > 1 && of(said) ? h('p', { class: 'dim small' }, joined(of(said).description, made(of(said)))) : null);
  return h('section', { class: 'part supplied' }, h('h2', null, 'Clinical question'),
    asked(data) ? null : carried
      ? [h('p', { class: 'text', dir: 'auto' }, carried), h('p', { class: 'dim small' }, all.length ? 'As the image headers say.' : 'As the image headers say; the site supplied nothing else.')]
      : h('p', { class: 'warn' }, 'No clinical question supplied.'),
    all.map((said) => [named(said), said.question ? h('p', { class: 'text', dir: 'auto' }, said.question) : null, facts(said)]));
}
