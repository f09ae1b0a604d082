// The report editor: one plain text area for each section, open to dictation and input methods, moved through by keys.

import { fill, h, joined } from '/web/dom.js';
import { open } from '/web/dialog.js';
import { command, keycap } from '/web/keys.js';
import { clock } from '/web/time.js';
import { language } from '/web/words.js';
import { SECTIONS } from '/web/case/draft.js';
import { current, made, modalities, priors } from '/web/case/banner.js';
import { asked } from '/web/case/supplied.js';

const TITLE = { procedure: 'Procedure', history: 'History', comparison: 'Comparison', findings: 'Findings', impression: 'Impression', recommendation: 'Recommendation' };

/** What is known before the reader has written anything. */
export function startingText(data) {
  const kinds = (study) => modalities(study).filter((one) => !['SR', 'PR', 'KO'].includes(one)).join(' ');
  const what = (study) => (study.description?.toUpperCase().split(/\W+/).includes(kinds(study)) ? study.description : joined(kinds(study), study.description));
  const named = (...words) => joined(...words).replaceAll(' · ', ', ');
  // where dates are shifted a prior has a number and an interval, and this study neither
  const own = (study) => named(what(study), study.interval ? '' : made(study));
  const earlier = (study, at) => named(study.interval ? `prior ${at + 1}` : '', what(study), made(study));
  const before = priors(data);
  return {
    language: data.site?.language ?? 'en',
    procedure: current(data).map(own).join('; '),
    // what the site supplied stands in the report by itself
    history: asked(data) ? '' : data.request_text?.reason || data.request_text?.history || '',
    comparison: before.map(earlier).join('; '),
  };
}

export class Editor {
  /** The editor of a case on the screen, until the signal says that the case has gone from it. */
  constructor(draft, signal) {
    Object.assign(this, { draft, signal });
    this.areas = new Map();
    this.status = h('span', { class: 'saved', role: 'status' });
    this.languages = h('select', { 'aria-label': 'Language of the report', onchange: () => draft.set('language', this.languages.value) });
    this.element = h('div', { class: 'editor' }, SECTIONS.map((name, at) => this.section(name, at)));
    draft.addEventListener('state', () => this.showState());
    draft.addEventListener('conflict', ({ detail }) => this.ask(detail));
    this.shortcuts(signal);
  }

  section(name, at) {
    const area = h('textarea', { id: `section-${name}`, rows: 1, spellcheck: 'true', dir: 'auto', autocomplete: 'off', maxlength: 32_000, dataset: { section: name } });
    // an input method that is still composing sends its text when it is done; nothing is read half-way
    area.addEventListener('input', () => this.draft.set(name, area.value));
    this.areas.set(name, area);
    return h('div', { class: `section ${name}` },
      h('label', { for: area.id }, TITLE[name], h('span', { class: 'dim' }, keycap(`Alt+${at + 1}`))), area);
  }

  /** Puts the draft's text into the areas. */
  show(siteLanguage) {
    for (const [name, area] of this.areas) if (area.value !== this.draft.content[name]) area.value = this.draft.content[name];
    const choice = [...new Set([this.draft.content.language, siteLanguage, 'en'].filter(Boolean))];
    fill(this.languages, choice.map((code) => h('option', { value: code }, language(code))));
    this.languages.value = this.draft.content.language || choice[0];
    for (const area of this.areas.values()) area.lang = this.languages.value;
    this.showState();
  }

  setWritable(writable) {
    this.draft.writable = writable;
    this.element.classList.toggle('locked', !writable);
    this.languages.disabled = !writable;
    for (const area of this.areas.values()) area.readOnly = !writable;
    this.showState();
  }

  showState() {
    const { state, savedAt, why, writable, version } = this.draft;
    const words = {
      saved: savedAt ? `saved ${clock(savedAt)}` : version ? 'saved' : '',
      saving: 'saving…',
      unsaved: 'saving…',
      failed: `not saved: ${why}`,
    };
    this.status.dataset.state = state;
    this.status.textContent = writable ? words[state] : '';
  }

  focus(name) {
    const area = this.areas.get(name);
    if (!area) return false;
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
    area.scrollIntoView({ block: 'nearest' });
    return true;
  }

  at() {
    return SECTIONS.findIndex((name) => this.areas.get(name) === document.activeElement);
  }

  step(by) {
    const at = this.at();
    return this.focus(SECTIONS[Math.min(SECTIONS.length - 1, Math.max(0, at < 0 ? 0 : at + by))]);
  }

  nextGap() {
    const order = [...SECTIONS.slice(this.at() + 1), ...SECTIONS.slice(0, this.at() + 1)];
    const gap = order.find((name) => !this.draft.content[name].trim());
    return this.focus(gap ?? 'findings');
  }

  shortcuts(signal) {
    const own = { group: 'Report', signal };
    const calm = (act) => (event, modal) => (modal ? false : act());
    command('Ctrl+ArrowDown', 'next section', calm(() => this.step(1)), own);
    command('Ctrl+ArrowUp', 'previous section', calm(() => this.step(-1)), own);
    SECTIONS.forEach((name, at) => command(`Alt+${at + 1}`, at ? '' : `to a section: ${keycapRange()}`, calm(() => this.focus(name)), own));
    command('F2', 'next empty section', calm(() => this.nextGap()), own);
    command('Ctrl+s', 'save now (it is saved as you type)', calm(() => { this.draft.save(); return true; }), own);
  }

  /** Two texts for one draft: both are shown, the reader chooses. */
  ask({ mine, theirs }) {
    if (this.asking) return;
    const column = (title, content) => h('section', null, h('h3', null, title),
      SECTIONS.filter((name) => (mine[name] ?? '') !== (theirs[name] ?? '')).map((name) => [h('h4', { class: 'dim' }, TITLE[name]), h('p', { class: 'text', dir: 'auto' }, content[name] || '(empty)')]));
    const dialog = open({
      title: 'The draft was changed somewhere else',
      class: 'wide',
      stays: true,
      body: [h('p', null, 'This window has other text than the server. Nothing is thrown away until you choose.'), h('div', { class: 'columns' }, column('In this window', mine), column('On the server', theirs))],
      buttons: [{ label: 'Take the server’s text', value: 'theirs' }, { label: 'Keep this window’s text', value: 'mine', primary: true }],
    });
    this.asking = dialog.closed.then((choice) => {
      this.asking = null;
      // closed without a choice: asked again now, or when the case is opened again
      if (!choice) {
        if (!this.signal.aborted && this.draft.conflicted) this.ask({ mine, theirs });
        return;
      }
      this.draft.resolve(choice === 'theirs' ? theirs : mine, choice === 'theirs');
      this.show();
    });
  }
}

const keycapRange = () => 'procedure, history, comparison, findings, impression, recommendation are Alt + 1 to 6';
