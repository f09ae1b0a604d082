// The draft: every change is kept in this window at once, and on the server a moment later. Nothing typed is lost by a reload, a lost
// connection or an ended session; two windows that write the same draft are noticed, never merged in silence.

import { connection, get, Problem, put, sentence, Unreachable } from '/web/api.js';
import { now } from '/web/time.js';

export const SECTIONS = ['procedure', 'history', 'comparison', 'findings', 'impression', 'recommendation'];
const DELAY_MS = 700;
const AT_LATEST_MS = 4_000;

const empty = () => Object.fromEntries([...SECTIONS, 'language'].map((name) => [name, '']));
const same = (a, b) => [...SECTIONS, 'language'].every((name) => (a?.[name] ?? '') === (b?.[name] ?? ''));

/** Every draft that is on the screen, or has left it with text that the server does not have. */
const OPEN = new Set();

connection.addEventListener('back', () => OPEN.forEach((one) => { if (one.dirty) one.save(); }));
addEventListener('pagehide', () => OPEN.forEach((one) => { if (one.dirty && one.writable && !one.conflicted) one.send(true).catch(() => {}); }));
addEventListener('beforeunload', (event) => {
  if ([...OPEN].some((one) => one.dirty && one.state === 'failed')) event.preventDefault();
});

export class Draft extends EventTarget {
  /** The draft of a case on the screen, until the signal says that the case has gone from it. */
  constructor(caseId, signal) {
    super();
    this.caseId = caseId;
    this.key = `causeway-draft/${caseId}`;
    this.version = null;
    this.content = empty();
    this.state = 'saved';
    this.savedAt = null;
    this.why = '';
    this.writable = false;
    this.saving = null;
    this.dirtySince = null;
    this.conflicted = false;
    signal.addEventListener('abort', () => this.leave());
    OPEN.add(this);
  }

  get dirty() {
    return this.dirtySince !== null;
  }

  tell(state, why = '') {
    this.state = state;
    this.why = why;
    this.dispatchEvent(new Event('state'));
  }

  /** Takes what the server has. Text that this window kept and the server does not have yet comes back. */
  begin(server, start) {
    this.abandoned = false;
    this.version = server?.version ?? null;
    this.content = { ...empty(), ...(server?.content ?? {}) };
    const kept = this.kept();
    if (kept && !same(kept.content, this.content)) {
      if ((kept.version ?? null) === this.version) {
        this.content = { ...this.content, ...kept.content };
        this.dirtySince = Date.now();
        this.tell('unsaved');
        this.schedule();
      } else {
        this.conflicted = true;
        this.dispatchEvent(new CustomEvent('conflict', { detail: { mine: { ...empty(), ...kept.content }, theirs: this.content } }));
      }
    } else {
      this.forget();
      if (!server && start) {
        Object.assign(this.content, start);
        this.dirtySince = Date.now();
        this.schedule();
      }
    }
  }

  kept() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key));
    } catch {
      return null;
    }
  }

  keep() {
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ version: this.version, content: this.content }));
    } catch {
      // storage is switched off or full: the text is still in the page
    }
  }

  forget() {
    try {
      sessionStorage.removeItem(this.key);
    } catch {
      // nothing was kept
    }
  }

  /** The case leaves the screen: what is not saved is sent once more, and stays in this window until the server has it. */
  leave() {
    clearTimeout(this.timer);
    this.left = true;
    if (this.dirty && this.writable) this.save();
    this.rest();
  }

  /** A draft that has left the screen and is safe needs nobody any more. */
  rest() {
    if (this.left && (!this.dirty || this.conflicted || !this.writable)) OPEN.delete(this);
  }

  /** Nothing of it stays, in this window either. */
  abandon() {
    clearTimeout(this.timer);
    this.forget();
    this.content = empty();
    this.version = null;
    this.dirtySince = null;
    this.writable = false;
    this.conflicted = false;
    this.abandoned = true;
    this.tell('saved');
  }

  set(name, text) {
    if (this.content[name] === text) return;
    this.content[name] = text;
    this.dirtySince ??= Date.now();
    this.keep();
    if (this.state === 'saved') this.tell('unsaved');
    this.schedule();
  }

  schedule() {
    clearTimeout(this.timer);
    if (this.left) return;
    const waited = Date.now() - (this.dirtySince ?? Date.now());
    this.timer = setTimeout(() => this.save(), Math.max(0, Math.min(DELAY_MS, AT_LATEST_MS - waited)));
  }

  send(keepalive = false) {
    const headers = this.version === null ? { 'If-None-Match': '*' } : { 'If-Match': `"${this.version}"` };
    return put(`/cases/${this.caseId}/draft`, this.content, { headers, keepalive });
  }

  /** Saves now; true when the server has everything that was typed. */
  async save() {
    clearTimeout(this.timer);
    if (this.saving) await this.saving.catch(() => {});
    if (!this.dirty) return true;
    // which text it is, a person decides first
    if (!this.writable || this.conflicted) return false;
    this.saving = this.attempt();
    try {
      return await this.saving;
    } finally {
      this.saving = null;
      this.rest();
    }
  }

  async attempt() {
    const sent = { ...this.content };
    this.tell('saving');
    try {
      const { data } = await this.send();
      this.version = data.version;
      this.savedAt = now();
    } catch (error) {
      if (error instanceof Problem && error.status === 412) return this.stale();
      this.tell('failed', sentence(error));
      if (!(error instanceof Unreachable) && !this.left) this.timer = setTimeout(() => this.save(), 10_000);
      return false;
    }
    if (same(sent, this.content)) {
      this.dirtySince = null;
      this.forget();
      this.tell('saved');
      return true;
    }
    this.dirtySince = Date.now();
    this.keep();
    this.tell('unsaved');
    this.schedule();
    return false;
  }

  /** The server has another version: from another window or place. A person decides. */
  async stale() {
    try {
      const { data } = await get(`/cases/${this.caseId}/draft`);
      const theirs = { ...empty(), ...(data.content ?? {}) };
      if (same(theirs, this.content)) {
        this.version = data.version ?? null;
        this.dirtySince = null;
        this.forget();
        this.tell('saved');
        return true;
      }
      this.tell('failed', 'The draft was changed in another window.');
      // asked when the case is on the screen again: until then both texts stay where they are
      this.conflicted = true;
      if (this.left) return false;
      this.version = data.version ?? null;
      this.dispatchEvent(new CustomEvent('conflict', { detail: { mine: { ...this.content }, theirs } }));
    } catch (error) {
      this.tell('failed', sentence(error));
    }
    return false;
  }

  /** The outcome of a conflict: this is the text now. */
  resolve(content, isServers) {
    if (this.abandoned) return;
    this.conflicted = false;
    this.content = { ...empty(), ...content };
    if (isServers) {
      this.dirtySince = null;
      this.forget();
      this.tell('saved');
    } else {
      this.dirtySince = Date.now();
      this.keep();
      this.save();
    }
  }

  /** Saves until nothing is left to save, or until it fails. */
  async flush() {
    for (let tries = 0; tries < 5 && this.dirty; tries += 1) {
      if (!(await this.save()) && this.state === 'failed') return false;
    }
    return !this.dirty;
  }
}
