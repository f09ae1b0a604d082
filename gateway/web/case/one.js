// One case on the case page: what it shows, what can be done about it, and what goes on by itself meanwhile.

import { asSentence, get, post, Problem, sentence } from '/web/api.js';
import { fill, h } from '/web/dom.js';
import { askText, open } from '/web/dialog.js';
import { toCase, toList } from '/web/go.js';
import { command, showHelp } from '/web/keys.js';
import { listen } from '/web/live.js';
import { claimNext } from '/web/next.js';
import { unlock } from '/web/session.js';
import { clock, every, moment, now } from '/web/time.js';
import { corner, mark } from '/web/top.js';
import { Ahead } from '/web/case/ahead.js';
import { banner, caseCode } from '/web/case/banner.js';
import { reports, underWay } from '/web/case/delivery.js';
import { Draft } from '/web/case/draft.js';
import { Editor, startingText } from '/web/case/editor.js';
import { goneWords, isWithdrawn, withdrawnNotice } from '/web/case/gone.js';
import { Images, withImages } from '/web/case/images.js';
import { Letters } from '/web/case/letters.js';
import { order } from '/web/case/order.js';
import { press, Signing } from '/web/case/sign.js';
import { OtherCase, holds, letGo, take } from '/web/case/windows.js';

const button = (label, act, extra = {}) => h('button', { type: 'button', onclick: act, class: extra.class ?? '', disabled: extra.disabled, dataset: { act: extra.name ?? '' } }, label, extra.keys ? h('kbd', null, extra.keys) : null);

/** One case on the screen, until its signal ends it. */
export class Case {
  constructor(place, id, signal) {
    Object.assign(this, { place, id, signal, images: place.images });
    this.draft = new Draft(id, signal);
    this.editor = new Editor(this.draft, signal);
    this.data = null;
    this.begun = false;
    this.elsewhere = false;
    this.reloading = null;
    this.letters = new Letters(id, () => this.reload());
    [this.first, this.rest] = [h('div', null), h('div', null)];
    this.notice = h('div', { class: 'notices' });
    this.home = h('div', { class: 'home', 'aria-live': 'polite', hidden: true });
    this.actions = h('div', { class: 'actions' });
    this.writing = h('div', { class: 'writing' }, h('h2', null, 'Report'), this.editor.status, h('label', { class: 'dim' }, 'in ', this.editor.languages));
  }

  /** Whether this case may be drawn: it has not been left, and no other window has taken over. */
  get shown() {
    return !this.signal.aborted && holds(this.id);
  }

  /** Whether the reader is reading it, and not only looking. */
  get reading() {
    return this.shown && Boolean(this.data.may?.write);
  }

  get withdrawn() {
    return isWithdrawn(this.data);
  }

  async start() {
    try {
      await take(this.id);
      // left while it waited: the case that came after it takes its own, the list none
      if (this.signal.aborted) return this.place.case || letGo();
      await this.load();
    } catch (error) {
      if (this.signal.aborted) return;
      if (error instanceof Problem && error.status === 404) return this.gone();
      this.place.cover(h('div', { class: 'empty' }, h('strong', null, 'The case could not be opened.'), h('p', null, error instanceof OtherCase ? error.message : sentence(error)), h('p', null, button('Try again', () => location.reload()))));
      return;
    }
    if (!this.shown) return;
    const { left, report } = this.place;
    fill(left, this.first, this.letters.element, this.rest);
    left.scrollTop = 0;
    fill(report, this.notice, this.home, this.writing, this.editor.element, h('div', { class: 'foot' }, this.actions));
    this.place.uncover();
    this.shortcuts();
    this.draw();
    if (this.data.may?.write) this.editor.focus('findings');
    else this.actions.querySelector('button.primary')?.focus();
    this.attend();
  }

  /** What goes on by itself while the case is shown. */
  attend() {
    const { id, signal } = this;
    this.ahead = new Ahead(this, signal);
    const stops = [
      listen(['case', 'worklist'], (kind, event) => {
        if (kind !== 'case') this.ahead.due = true;
        if (kind !== 'worklist' && (!event.case || event.case === id)) this.reload(true);
      }),
      every(5, () => {
        for (const element of document.querySelectorAll('[data-site-clock]')) element.textContent = clock(now(), element.dataset.siteClock);
      }),
    ];
    const timer = setInterval(() => { if (!document.hidden && (underWay(this.data) || this.data.workitem?.readiness === 'INCOMPLETE')) this.reload(true); }, 5_000);
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      stops.forEach((stop) => stop());
    });
  }

  header() {
    const { data, place } = this;
    document.title = `${data.code} · Causeway`;
    fill(place.top, mark('Worklist (Alt+W)'), banner(data),
      h('div', { class: 'tools' },
        button(this.elsewhere ? 'Images here' : 'Second window', () => this.second(), { class: 'quiet' }),
        corner()));
  }

  buttons() {
    const { data } = this;
    const may = data.may ?? {};
    const list = [];
    if (may.claim) list.push(button('Claim and report', () => this.claim(), { class: 'primary', keys: 'Alt+C', name: 'claim' }));
    if (may.put_back) list.push(button('Put back…', () => this.putBack(), { class: 'quiet' }));
    if (may.write) list.push(button('Preview and sign…', () => this.sign(), { class: 'primary', keys: 'F8', name: 'preview' }));
    if (data.reports?.length && !may.write) {
      if (may.withdraw) list.push(button('Withdraw…', () => this.withdrawReport(), { class: 'quiet', name: 'withdraw' }));
      if (may.correct !== false) list.push(button('Correct…', () => this.correct(), { class: 'quiet' }));
      list.push(button('Next case', () => this.next(), { class: 'primary', keys: 'Alt+N', name: 'next' }));
    }
    fill(this.actions, list);
  }

  notices() {
    const { data, letters, newest, withdrawn } = this;
    const may = data.may ?? {};
    const out = [];
    if (withdrawn) out.push(h('p', { class: 'alert' }, h('strong', null, 'Withdrawn by the site. '), data.recall_reason ?? data.workitem?.reason ?? ''));
    if (newest && data.recalled && newest.status !== 'withdrawn') out.push(h('p', { class: 'alert' }, h('strong', null, 'A signed report stands on this study. '), may.withdraw ? 'The site asks you to withdraw it: ' : 'The site asks its reader to withdraw it.', may.withdraw ? button('Withdraw…', () => this.withdrawReport(), { class: 'small' }) : null));
    if (newest?.status === 'withdrawn') out.push(h('p', { class: 'alert', dataset: { tone: newest.acknowledged ? 'plain' : 'warn' } }, h('strong', null, 'This report is withdrawn. '), newest.acknowledged ? `A person at the site has seen it, ${moment(newest.acknowledged, data.site?.time_zone)}.` : 'Nobody at the site has said yet that it was seen.'));
    if (data.blocked && !withdrawn) out.push(h('p', { class: 'alert blocked' }, h('strong', null, 'Nothing may be signed now. '), data.blocked));
    const unread = withdrawn ? 0 : letters.unread(data);
    if (unread) out.push(h('p', { class: 'alert letter-notice', dataset: { tone: 'warn' } }, h('strong', null, unread === 1 ? 'The site has written. ' : `The site has written ${unread} messages. `), button('Show', () => letters.focus() || letters.element.scrollIntoView(), { class: 'small', keys: 'Alt+M', name: 'letters' })));
    const holder = data.workitem?.claimed_by;
    if (holder && !holder.mine && data.workitem.state === 'IN PROGRESS') out.push(h('p', { class: 'alert', dataset: { tone: 'plain' } }, `${holder.name} is reading this case${holder.since ? ` since ${moment(holder.since)}` : ''}.`));
    else if (!may.write && !may.claim && !data.reports?.length && may.reasons?.length) out.push(h('p', { class: 'alert', dataset: { tone: 'plain' } }, may.reasons.map(asSentence).join(' ')));
    if (may.claim && !withdrawn) out.push(h('p', { class: 'dim' }, data.draft ? 'Nobody reads this case now. A draft is there from before.' : 'Nobody reads this case yet.'));
    fill(this.notice, out);
  }

  draw() {
    if (!this.shown) return;
    const { data, editor, letters, withdrawn } = this;
    this.header();
    letters.draw(data);
    letters.element.hidden = withdrawn;
    order({ column: this.place.left, first: this.first, rest: this.rest }, data, (text) => letters.focus(text));
    reports(this.home, data, !data.may?.write);
    this.buttons();
    this.notices();
    editor.setWritable(Boolean(data.may?.write) && !withdrawn);
    editor.element.hidden = withdrawn || (!data.may?.write && (!data.draft || Boolean(data.reports?.length)));
    this.writing.hidden = editor.element.hidden;
    this.place.report.classList.toggle('signed', Boolean(data.reports?.length) && !data.may?.write);
    this.text();
    this.pictures();
  }

  /** Takes over the draft that the server has, unless something is being written. */
  text() {
    const { data, draft, editor } = this;
    if (!this.begun && !this.withdrawn && (data.draft || data.may?.write)) {
      this.begun = true;
      draft.begin(data.draft, data.may?.write ? startingText(data) : null);
      editor.show(data.site?.language);
    } else if (this.begun && !draft.dirty && data.draft && String(data.draft.version) !== String(draft.version)) {
      draft.begin(data.draft, null);
      editor.show(data.site?.language);
    }
  }

  pictures() {
    const { data, images } = this;
    if (this.withdrawn) this.withdraw();
    else if (goneWords(data) && !withImages(data).length) images.clear(h('div', { class: 'empty' }, h('strong', null, 'There are no images any more.'), h('p', null, goneWords(data))));
    else if (this.elsewhere) images.clear(h('div', { class: 'empty' }, h('strong', null, 'The images are in the second window.'), button('Show them here', () => this.second())));
    else if (!data.studies?.some((study) => study.series?.length)) images.clear(h('div', { class: 'empty' }, h('strong', null, 'No images here yet.'), 'They appear by themselves as they arrive.'));
    else images.show(data, `Images of case ${data.code}`);
  }

  /** Images, open dialogs and what was typed leave this window. */
  withdraw() {
    this.images.clear(withdrawnNotice());
    if (!this.begun) return;
    this.begun = false;
    this.draft.abandon();
    this.editor.show(this.data.site?.language);
    document.querySelectorAll('dialog[open]').forEach((one) => one.close());
  }

  async load(background = false) {
    const answer = await get(`/cases/${encodeURIComponent(this.id)}`, { background });
    this.data = answer.data;
  }

  /** Asks again and draws, without touching what is being written. */
  reload(background = false) {
    if (this.signal.aborted) return Promise.resolve();
    // what a person did must be seen: an answer to a question asked before it does not count
    if (this.reloading && background !== true) return this.reloading.then(() => this.reload());
    this.reloading ??= (async () => {
      try {
        await this.load(background === true);
        this.draw();
      } catch (error) {
        if (error instanceof Problem && error.status === 404 && this.shown) this.gone();
      } finally {
        this.reloading = null;
      }
    })();
    return this.reloading;
  }

  gone() {
    letGo();
    this.place.cover(h('div', { class: 'empty' }, h('strong', null, 'There is no such case for you.'), h('p', null, 'It may have been reported, withdrawn, or given to somebody else.'), h('p', null, h('a', { class: 'button', href: '/' }, 'To the worklist'))));
  }

  async claim() {
    try {
      await post(`/workitems/${this.data.workitem.uid}/claim`);
    } catch (error) {
      if (this.signal.aborted) return;
      const taken = error instanceof Problem && error.status === 409;
      const holder = taken && error.body.holder;
      const name = holder?.name ?? holder;
      const words = error.body?.until ? `${name} reads it next. It is free again at ${moment(error.body.until)} if it is not read by then.` : `${name} claimed it${error.body?.since ? ` at ${moment(error.body.since)}` : ''}.`;
      open({ title: taken ? 'Somebody was first' : 'The case was not claimed', class: 'narrow', body: h('p', null, holder ? words : sentence(error)), buttons: [{ label: 'Close', primary: true }] });
    }
    await this.reload();
    if (this.shown && this.data.may?.write) this.editor.focus('findings');
  }

  async putBack() {
    const reason = await askText({ title: 'Put the case back', says: 'The next reader sees your draft and this reason.', label: 'Why', confirm: 'Put back' });
    if (!reason) return;
    try {
      await this.draft.flush();
      await post(`/workitems/${this.data.workitem.uid}/put-back`, { reason });
      if (!this.signal.aborted) toList();
    } catch (error) {
      if (this.signal.aborted) return;
      open({ title: 'The case was not put back', class: 'narrow', body: h('p', null, sentence(error)), buttons: [{ label: 'Close', primary: true }] });
      this.reload();
    }
  }

  /** The newest report, which is the one that can be withdrawn. */
  get newest() {
    return [...(this.data.reports ?? [])].sort((a, b) => b.version - a.version)[0];
  }

  async withdrawReport() {
    const report = this.newest;
    const reason = await askText({ title: 'Withdraw the report', says: `A new signed version goes to the hospital before everything else. It begins WITHDRAWN, DO NOT USE and takes back version ${report.version}. This cannot be undone.`, label: 'Why (stands in the new version; name nobody)', confirm: 'Sign the withdrawal' });
    if (!reason) return;
    await this.signWithdrawal(report.id, reason);
  }

  async signWithdrawal(report, reason) {
    try {
      await post(`/cases/${this.id}/withdraw`, { report, reason }, { timeout: 60_000 });
      this.begun = false;
      await this.reload();
    } catch (error) {
      if (this.signal.aborted) return;
      if (error instanceof Problem && error.kind === 'signing-key-locked') {
        if ((await unlock()) && !this.signal.aborted) await this.signWithdrawal(report, reason);
        return;
      }
      await this.reload();
      if (this.signal.aborted || (error instanceof Problem && error.kind === 'already-signed')) return;
      open({ title: 'The report was not withdrawn', class: 'narrow', body: h('p', null, sentence(error)), buttons: [{ label: 'Close', primary: true }] });
    }
  }

  async correct() {
    const reason = await askText({ title: 'Correct the report', says: 'The signed report stays as it is. A new version is written, which names it as its predecessor.', label: 'What is corrected, and why', confirm: 'Write a correction' });
    if (!reason) return;
    try {
      await post(`/cases/${this.id}/correct`, { reason });
      this.begun = false;
      await this.reload();
      this.editor.focus('findings');
    } catch (error) {
      if (this.signal.aborted) return;
      open({ title: 'No correction was begun', class: 'narrow', body: h('p', null, sentence(error)), buttons: [{ label: 'Close', primary: true }] });
    }
  }

  sign() {
    if (!this.data.may?.write) return;
    this.ahead.again();
    const page = this;
    new Signing({
      get data() { return page.data; },
      draft: this.draft,
      imagesMatch: () => this.matches(),
      reload: () => this.reload(),
      signed: async () => {
        this.draft.forget();
        this.begun = false;
        await this.reload();
        setTimeout(() => this.actions.querySelector('[data-act="next"]')?.focus());
      },
    }).open();
  }

  /** Whether the images on the screen are of this case. */
  matches() {
    return this.shown && this.images.matches();
  }

  /** The next case that nobody has, claimed at once; the worklist when there is none. */
  async next() {
    // one key, one case
    if (this.leaving) return;
    this.leaving = true;
    // the worklist says what is wrong
    const item = await claimNext().catch(() => null);
    if (this.signal.aborted) return;
    if (item) toCase(item.case);
    else toList();
  }

  second() {
    if (this.elsewhere) {
      this.elsewhere = false;
    } else {
      const opened = window.open(`/case/${encodeURIComponent(this.id)}/images`, 'causeway-images');
      if (!opened) {
        open({ title: 'The browser did not open a window', class: 'narrow', body: h('p', null, 'Allow windows for this address, then try again.'), buttons: [{ label: 'Close', primary: true }] });
        return;
      }
      this.elsewhere = true;
    }
    this.draw();
  }

  blank() {
    this.images.ready.drop();
    this.place.cover(h('div', { class: 'empty blanked' }, h('strong', null, 'Another case is open in another window.'),
      h('p', null, 'This window shows nothing, so that no report can stand beside the images of somebody else. Your text is kept.'),
      h('p', null, button(['Show ', this.data ? caseCode(this.data.code) : 'this case', ' here'], () => location.reload(), { class: 'primary' }))));
    this.draft.save();
  }

  shortcuts() {
    const { signal, editor, images } = this;
    const own = { group: 'Case', signal };
    const calm = (act) => (event, modal) => (modal || !this.data ? false : (act(), true));
    command('F4', 'between images and report', (event, modal) => {
      if (modal) return false;
      if (event.view !== window || document.activeElement === images.frame) window.focus(), editor.at() < 0 ? editor.focus('findings') : null;
      else images.focus();
      return true;
    }, own);
    command('F8', 'preview and sign', calm(() => this.sign()), { group: 'Report', signal });
    command('F9', 'sign (in the preview)', (event, modal) => press(modal), { group: 'Report', signal });
    command('Alt+c', 'claim the case', calm(() => { if (this.data.may?.claim) this.claim(); }), own);
    command('Alt+n', 'next case, when this one is signed', calm(() => { if (this.data.reports?.length && !this.data.may?.write) this.next(); }), own);
    command('Alt+m', 'to the messages with the site', calm(() => this.letters.focus()), own);
    command('Alt+w', 'to the worklist', calm(() => toList()), own);
    command('Alt+h', 'show these keys, also while writing', () => showHelp(), { group: 'Everywhere', signal });
  }
}
