// Preview and sign: a summary with the case's banner, and one key press of its own for each report. Whatever changed between the preview
// and the signature (draft, images, identity) brings the reader back to a new preview.

import { asSentence, post, Problem, sentence } from '/web/api.js';
import { count, fill, h } from '/web/dom.js';
import { open } from '/web/dialog.js';
import { unlock } from '/web/session.js';
import { banner, current } from '/web/case/banner.js';
import { inert } from '/web/case/inert.js';
import { withheldWords } from '/web/case/order.js';
import { OtherCase, whileAlone } from '/web/case/windows.js';

const STATUS = { final: 'Final', preliminary: 'Preliminary' };
let dialog = null;

/** Opens the preview. `page` answers { data, draft, imagesMatch, signed }. */
export class Signing {
  constructor(page) {
    this.page = page;
    this.preview = null;
    const may = page.data.may ?? {};
    const early = may.sign_final === false || page.data.workitem?.readiness !== 'READY';
    this.status = early && may.sign_preliminary ? 'preliminary' : 'final';
  }

  async open() {
    if (dialog) return;
    const { data } = this.page;
    this.note = h('div', { class: 'preview-notes' });
    this.paper = h('article', { class: 'paper', tabindex: 0, 'aria-label': 'Preview of the report' }, h('p', { class: 'dim' }, 'Saving and preparing the preview…'));
    this.acknowledged = h('input', { type: 'checkbox', id: 'acknowledged' });
    this.reason = h('textarea', { id: 'override', rows: 2, maxlength: 500, onchange: () => this.refresh() });
    dialog = open({
      title: 'Preview and sign',
      class: 'wide signing',
      body: [banner(data), this.choice(data), this.note, this.paper],
      buttons: this.buttons(false),
    });
    this.dialog = dialog;
    dialog.closed.then(() => { dialog = null; });
    await this.refresh();
  }

  buttons(ready) {
    return [
      { label: 'Back to the text', keys: 'Esc', value: null },
      { label: `Sign as ${STATUS[this.status].toLowerCase()}`, keys: 'F9', name: 'sign', disabled: !ready || Boolean(this.page.data.blocked), act: () => this.sign(), danger: false },
    ];
  }

  choice(data) {
    const may = data.may ?? {};
    const option = (status, allowed) => h('label', { class: 'option' },
      h('input', { type: 'radio', name: 'status', value: status, checked: this.status === status, disabled: allowed === false, onchange: () => { this.status = status; this.refresh(); } }),
      STATUS[status]);
    return h('div', { class: 'choice', role: 'radiogroup', 'aria-label': 'What this report is' }, option('final', may.sign_final), option('preliminary', may.sign_preliminary),
      may.reasons?.length ? h('span', { class: 'dim small' }, may.reasons.map(asSentence).join(' ')) : null);
  }

  /** Why it is reported as final although more may come; it stands in the report. */
  get override() {
    return this.status === 'final' && (this.page.data.workitem?.readiness !== 'READY' || this.incomplete);
  }

  get overrideReason() {
    return this.override ? this.reason.value.trim().replace(/\s+/g, ' ') : '';
  }

  /** Everything saved, then a preview of exactly that. */
  async refresh(keepSaying = false) {
    const asked = this.status;
    const reason = this.overrideReason;
    this.preview = null;
    this.dialog.setButtons(this.buttons(false));
    if (!keepSaying) this.dialog.say('');
    const { draft, data } = this.page;
    if (!(await draft.flush())) {
      fill(this.paper, h('p', null, 'The text is not on the server yet, so it cannot be signed.'));
      this.dialog.say(draft.why || 'The draft could not be saved.');
      return;
    }
    try {
      const { data: preview } = await post(`/cases/${data.case}/preview`, { status: asked, ...(reason ? { override_reason: reason } : {}) });
      if (asked !== this.status) return;
      if (String(preview.draft_version) !== String(draft.version)) {
        this.dialog.say('The draft on the server is not the one in this window. Close this preview and look at the text.');
        return;
      }
      this.preview = preview;
      this.previewedReason = reason;
      this.show(preview);
      this.dialog.setButtons(this.buttons(true));
      if (this.override && !this.overrideReason) this.reason.focus();
      else this.paper.focus();
    } catch (error) {
      fill(this.paper, h('p', null, 'There is no preview.'));
      this.dialog.say(sentence(error));
    }
  }

  show(preview) {
    fill(this.paper, preview.html ? inert(preview.html) : h('pre', { dir: 'auto' }, preview.text));
    const held = current(this.page.data).flatMap((study) => study.withheld ?? []);
    fill(this.note,
      (preview.warnings ?? []).filter((one) => !/withheld at the site/.test(one)).map((one) => h('p', { class: 'alert', dataset: { tone: 'warn' } }, typeof one === 'string' ? one : one.sentence ?? one.detail)),
      held.length ? h('label', { class: 'option alert', dataset: { tone: 'warn' } }, this.acknowledged,
        h('span', null, `I know that the site withheld ${count(held.reduce((total, one) => total + one.count, 0), 'object')}: `, held.map(withheldWords).join('; '))) : null,
      this.override ? h('div', null, h('label', { for: 'override' }, 'The study is not complete. Why is it reported as final now? This stands in the report.'), this.reason) : null);
    this.held = held;
  }

  async sign() {
    if (!this.preview) return false;
    if (this.held.length && !this.acknowledged.checked) {
      this.dialog.say('Say first that you know what was withheld.');
      this.acknowledged.focus();
      return false;
    }
    if (this.override && !this.overrideReason) {
      this.dialog.say('The study is not complete. Say why it is final now, or sign as preliminary.');
      this.reason.focus();
      return false;
    }
    const { data, draft, imagesMatch, signed } = this.page;
    if (draft.dirty || this.previewedReason !== this.overrideReason) {
      await this.refresh();
      if (this.preview) this.dialog.say('The preview below is new: read it, then sign.', 'warn');
      return false;
    }
    const body = {
      status: this.status,
      draft_version: this.preview.draft_version,
      manifest_version: this.preview.manifest_version,
      identity_version: this.preview.identity_version,
      acknowledged_withheld: Boolean(this.held.length && this.acknowledged.checked),
    };
    if (this.overrideReason) body.override_reason = this.overrideReason;
    try {
      const { data: done } = await whileAlone(data.case, imagesMatch, () => post(`/cases/${data.case}/sign`, body, { timeout: 60_000 }));
      signed(done);
      return true;
    } catch (error) {
      return this.refused(error);
    }
  }

  async refused(error) {
    if (error instanceof OtherCase) {
      this.dialog.say(error.message);
      return false;
    }
    if (error instanceof Problem && error.kind === 'signing-key-locked') {
      if (await unlock()) return this.sign();
      return false;
    }
    if (error instanceof Problem && (error.status === 409 || error.status === 412)) {
      if (error.kind === 'already-signed') {
        this.page.signed(error.body);
        return true;
      }
      if (error.kind === 'incomplete') this.incomplete = true;
      await this.page.reload();
      await this.refresh(true);
      const again = ['blocked-by-site', 'dated', 'text-withdrawn'].includes(error.kind) ? '' : ' The preview below is new: read it again.';
      this.dialog.say(`Not signed. ${error.message}${again}`);
      if (this.override && !this.overrideReason) this.reason.focus();
      return false;
    }
    const unknown = !(error instanceof Problem);
    this.dialog.say(unknown ? 'The gateway did not answer in time. Whether the report was signed shows when the line is back; signing twice is not possible.' : sentence(error));
    if (unknown) this.page.reload();
    return false;
  }
}

/** Presses "Sign" in the preview; false when there is none. */
export function press(modal) {
  if (!modal || modal !== dialog?.element) return false;
  dialog.element.querySelector('button[data-act="sign"]')?.click();
  return true;
}
