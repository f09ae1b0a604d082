// While a reader ends one case, the next of his list is reserved for him and its images go ahead into the viewer that stands ready (P23).
// Only who is reading a case has a next one: whoever only looks, or looks at the list, keeps nothing from anybody.

import { get, post } from '/web/api.js';
import { firstOf, free } from '/web/next.js';
import { activeWithin } from '/web/session.js';
import { every } from '/web/time.js';

const LOOK_S = 2;
/** The images on the screen come first: nothing is fetched ahead before they have been silent for so long. */
const SILENCE_MS = 1_500;

/** Nothing is kept for a reader who has gone: his last key, click or turn of the wheel was so long ago. */
const PRESENT_MS = 180_000;

/** Where memory or the line is scarce, the case on the screen has all of it. */
const scarce = () => (navigator.deviceMemory ?? 8) < 4 || Boolean(navigator.connection?.saveData);

/** Asked by the page itself: keeps no session alive, and never asks anybody to sign in. */
const BACKGROUND = { background: true, quiet: true };

export class Ahead {
  /** `page` answers { reading, images }; ends with `signal`. Whoever hears that the list has changed says so with `due`. */
  constructor(page, signal) {
    this.page = page;
    this.item = null;
    this.busy = false;
    // asked once for each change of the list, not by the clock
    this.due = true;
    const stop = every(LOOK_S, () => this.look());
    signal.addEventListener('abort', () => {
      this.ended = true;
      stop();
    });
  }

  async look() {
    const { reading, images } = this.page;
    if (!this.due || this.busy || this.ended || !reading || document.hidden || scarce() || !activeWithin(PRESENT_MS) || !images.silent(SILENCE_MS)) return;
    this.busy = true;
    this.due = false;
    try {
      await this.fetch(images);
    } catch {
      // nothing is lost: the next case then opens as a first one does; the list is looked at again when it changes
    } finally {
      this.busy = false;
    }
  }

  async fetch(images) {
    const { data } = await get('/worklist', BACKGROUND);
    if (this.ended) return;
    const open = free(data.items);
    if (!open.length) return this.forget(images);
    // what is his already stays his, unless something more urgent waits
    if (open[0].case === this.item?.case) return;
    const item = await firstOf(open, 'reserve', BACKGROUND);
    if (this.ended) return;
    if (!item) return this.forget(images);
    this.item = item;
    const { data: found } = await get(`/cases/${encodeURIComponent(item.case)}`, { ...BACKGROUND, headers: { 'X-Causeway-Ahead': '1' } });
    if (!this.ended && this.page.reading) images.fetchAhead(found);
  }

  forget(images) {
    this.item = null;
    images.ready.drop();
  }

  /** The reader is about to sign: the next case stays his while he does. */
  async again() {
    if (!this.item || this.ended) return;
    // when it is gone, the list says so, and another is fetched
    await post(`/workitems/${this.item.workitem}/reserve`, undefined, BACKGROUND).catch(() => { this.due = true; });
  }
}
