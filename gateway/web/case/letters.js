// Messages with the site of a case. The element stays while the page is drawn anew, so that nothing that is being written is lost.

import { post, sentence } from '/web/api.js';
import { fill, h } from '/web/dom.js';
import { moment } from '/web/time.js';

const OWN = { sent: 'sent, not yet at the site', 'at-site': 'at the site', read: 'read at the site' };

export class Letters {
  constructor(id, changed) {
    this.id = id;
    this.changed = changed;
    this.list = h('ol', { class: 'letter-list' });
    this.area = h('textarea', { id: 'letter', rows: 2, maxlength: 2000, dir: 'auto', 'aria-label': 'Message to the site', placeholder: 'Write to the site…', onkeydown: (event) => {
      if (event.key === 'Enter' && event.ctrlKey) { event.preventDefault(); this.send(); }
    } });
    this.alert = h('p', { class: 'alert', role: 'alert', hidden: true });
    this.sending = h('button', { type: 'button', onclick: () => this.send() }, 'Send', h('kbd', null, 'Ctrl+Enter'));
    this.form = h('div', { class: 'letter-form' }, this.area, this.alert, h('div', { class: 'buttons' }, this.sending));
    this.element = h('section', { class: 'part letters', 'aria-label': 'Messages with the site' });
  }

  draw(data) {
    this.data = data;
    const all = data.letters ?? [];
    const may = data.may?.letter !== false;
    fill(this.list, all.map((one) => this.letter(one)));
    const unread = this.unread(data);
    const parts = [h('h2', null, 'Messages with the site'), all.length ? this.list : h('p', { class: 'dim' }, 'None yet.'),
      unread ? h('button', { type: 'button', class: 'small', onclick: () => this.read() }, 'I have read it') : null];
    // the form is moved only when it has to be: whoever writes keeps his place
    for (const part of [...this.element.children]) if (part !== this.form) part.remove();
    this.element.prepend(...parts.filter(Boolean));
    if (may && !this.form.isConnected) this.element.append(this.form);
    if (!may) this.form.remove();
  }

  unread(data = this.data) {
    return (data?.letters ?? []).filter((one) => one.state === 'new').length;
  }

  letter(one) {
    const site = one.from === 'site';
    const state = site ? (one.state === 'new' ? h('strong', { class: 'warn' }, 'new') : null) : h('span', null, OWN[one.state], one.read ? ` ${moment(one.read)}` : '');
    return h('li', { class: `letter ${one.from} ${one.state}`, dataset: { letter: one.id, state: one.state } },
      h('p', { class: 'dim small' }, site ? ['The site, ', h('bdi', null, one.who)] : one.mine ? 'You' : h('bdi', null, one.who), ' · ', moment(one.written), state ? ' · ' : '', state),
      h('p', { class: 'text', dir: 'auto' }, one.text || '(taken back with the study)'));
  }

  /** Puts the cursor where one writes; `text` stands there then, before what is there already. */
  focus(text = '') {
    if (!this.form.isConnected) return false;
    if (text && !this.area.value.includes(text)) this.area.value = this.area.value ? `${this.area.value}\n${text}` : text;
    this.area.focus();
    this.area.setSelectionRange(this.area.value.length, this.area.value.length);
    this.element.scrollIntoView({ block: 'nearest' });
    return true;
  }

  say(text) {
    this.alert.hidden = !text;
    this.alert.textContent = text;
  }

  async send() {
    const text = this.area.value.trim();
    if (!text || this.sending.disabled) return this.area.focus();
    this.sending.disabled = true;
    this.say('');
    try {
      await post(`/cases/${encodeURIComponent(this.id)}/letters`, { text });
      this.area.value = '';
      await this.changed();
    } catch (error) {
      this.say(sentence(error));
    } finally {
      this.sending.disabled = false;
    }
  }

  async read() {
    try {
      await post(`/cases/${encodeURIComponent(this.id)}/letters/read`);
      await this.changed();
    } catch (error) {
      this.say(sentence(error));
    }
  }
}
