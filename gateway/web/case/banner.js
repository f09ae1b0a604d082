// The words that name a case on every window: code, age, sex, study date, body part. The same everywhere, so that a mismatch is seen.

import { h, joined } from '/web/dom.js';
import { age, day } from '/web/time.js';
import { priority, sex } from '/web/words.js';

/** The code as it is spoken: two groups of four. The text itself stays one word for copying. */
export function caseCode(code) {
  const text = String(code ?? '');
  return h('span', { class: 'code', dataset: { code: text } }, text.length === 8 ? [h('span', null, text.slice(0, 4)), h('span', null, text.slice(4))] : text);
}

export const current = (data) => (data.studies ?? []).filter((study) => study.role !== 'prior');
export const priors = (data) => (data.studies ?? []).filter((study) => study.role === 'prior');

const unique = (list) => [...new Set(list.filter(Boolean))];

export const modalities = (study) => unique([...(study.modalities ?? []), ...(study.series ?? []).map((series) => series.modality)]);

/** What is examined, as the headers say it. */
export function region(data) {
  const studies = current(data);
  const parts = unique(studies.flatMap((study) => [study.body_part, ...(study.series ?? []).map((series) => series.body_part)]));
  return parts.length ? parts.join(', ').toLowerCase() : 'body part not stated';
}

/** When a study was made: its day, or in words how far it lies from this one, where the site shifts dates. */
export const made = (study) => study.interval ?? day(study.date);

export const studyDates = (data) => unique(current(data).map(made)).join(', ') || 'study date not known';

/** The banner of a window, and of the dialog in which a report is signed. */
export function banner(data) {
  const level = priority(data.priority);
  const kinds = unique(current(data).flatMap(modalities)).filter((kind) => !['SR', 'PR', 'KO', 'DOC'].includes(kind));
  return h('div', { class: 'banner', dataset: { case: data.case, level: level.word } },
    caseCode(data.code),
    h('span', { class: 'fact' }, data.patient?.age ? age(data.patient.age) : 'age not known'),
    h('span', { class: 'fact' }, sex(data.patient?.sex)),
    data.identity?.mode ? h('span', { class: 'fact dim', dataset: { identity: data.identity.mode } }, data.identity.mode) : null,
    h('span', { class: 'fact number' }, studyDates(data)),
    h('span', { class: 'fact' }, joined(kinds.join(' '), region(data))),
    ['STAT', 'urgent'].includes(level.word) ? h('span', { class: `level ${level.word.toLowerCase()}` }, level.word) : null);
}
