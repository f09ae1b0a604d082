// The viewer in its frame, on exactly the studies of one case.

import { count, fill, h } from '/web/dom.js';
import { listenIn } from '/web/keys.js';
import { keepAlive } from '/web/session.js';
import { current, priors } from '/web/case/banner.js';
import { firstLook } from '/web/case/first-look.js';
import { Ready, viewer } from '/web/case/ready.js';
import { redraw } from '/web/case/redraw.js';

export const studyUids = (data) => data.studies.map((study) => study.uid);

/** The studies that have images here; asking the viewer for others would be an error. */
export const withImages = (data) => [...current(data), ...priors(data)].filter((study) => study.series?.length && !study.recalled);

/** The longest series of the current study that the viewer shows. */
function longest(data) {
  const shown = current(data).flatMap((study) => (study.series ?? []).filter((one) => one.shown === 'viewer').map((one) => ({ study: study.uid, series: one.uid, length: one.instances })));
  return shown.sort((a, b) => b.length - a.length)[0];
}

/** The current study first, opened at its longest series; the viewer is told which studies are priors, so that it says so. */
function address(data) {
  const url = new URL('/viewer/viewer', location.origin);
  for (const study of withImages(data)) url.searchParams.append('StudyInstanceUIDs', study.uid);
  url.searchParams.set('case', data.case);
  const before = priors(data).filter((study) => study.series?.length).map((study) => study.uid);
  if (before.length) url.searchParams.set('priors', before.join(','));
  const first = longest(data);
  if (first) url.searchParams.set('initialseriesinstanceuid', first.series);
  return url.pathname + url.search;
}

/** A viewer that has not come to its case, and has asked for nothing for so long, has stopped on its way: it is started once more. */
const STOPPED_MS = 10_000;
const LOOK_MS = 1_000;

/** How long it is said that images have joined. */
const NOTICE_MS = 8_000;

const objects = (data) => data.studies.flatMap((study) => study.series ?? []).reduce((total, one) => total + one.instances, 0);
const studiesOf = (url) => new URL(url, location.origin).searchParams.getAll('StudyInstanceUIDs').flatMap((text) => text.split(',')).filter(Boolean);

export class Images {
  constructor() {
    this.frame = null;
    this.address = null;
    // the document that is taking arrivals in, and what is to be taken in after that
    this.growing = null;
    this.next = null;
    this.later = h('div', null);
    this.over = h('div', { class: 'over' });
    // frames stand between the two and are never moved
    this.element = h('div', { class: 'images' }, this.later, this.over);
    this.ready = new Ready(this.element);
    // how many objects each viewer that was fetched ahead knows of, by its address
    this.known = new Map();
  }

  /** Shows the images of the case. What came later joins them in the viewer; loading it again would lose the reader's place. */
  show(data, title) {
    const wanted = address(data);
    const same = this.frame && studiesOf(this.address).join() === studiesOf(wanted).join();
    if (!same) this.open(data, wanted);
    // what stood against its images may be over
    else this.settled(this.frame);
    this.uids = new Set(studyUids(data));
    this.frame.title = title;
    this.grow(data);
  }

  open(data, wanted) {
    this.clear();
    const taken = this.ready.take(wanted);
    this.address = wanted;
    this.objects = (taken && this.known.get(wanted)) || objects(data);
    this.known.clear();
    if (taken) {
      this.frame = taken.frame;
      this.attend(this.frame);
    } else {
      this.frame = viewer(wanted);
      this.element.append(this.frame);
    }
    const { frame } = this;
    frame.addEventListener('load', () => { if (frame === this.frame) this.attend(frame); });
    this.watch(frame);
    const first = longest(data);
    const picture = first && firstLook(data.case, first.study, first.series, frame);
    // asked for all the same where the images are there already: that they are looked at stands in the audit trail
    fill(this.over, picture);
    if (taken?.ahead) picture?.classList.add('unneeded');
  }

  /** Until the viewer in the frame has come to its case: nobody has a place in it that a second start would lose. */
  watch(frame) {
    const timer = setInterval(() => { if (frame !== this.frame || this.settled(frame)) clearInterval(timer); }, LOOK_MS);
  }

  /** Whether the viewer in the frame has come to its case; one that has stopped on its way is started again, which settles it, too. */
  settled(frame) {
    try {
      const { came, idle } = frame.contentWindow.progress();
      if (!came && idle >= STOPPED_MS) frame.contentWindow.location.replace(this.address);
      return came || idle >= STOPPED_MS;
    } catch {
      // it has not begun, or is no viewer
      return false;
    }
  }

  /** Loads the images of the case that comes next, where nobody sees them. */
  fetchAhead(data) {
    if (!withImages(data).length) return this.ready.drop();
    const wanted = address(data);
    this.known.clear();
    this.known.set(wanted, objects(data));
    this.ready.load(wanted);
  }

  /** Whether the images on the screen are there and nothing has been asked for them for so long. */
  silent(milliseconds) {
    if (!this.frame) return true;
    try {
      return this.frame.contentWindow.silentFor() >= milliseconds;
    } catch {
      return false;
    }
  }

  /** Lets the viewer take in what has arrived. One that cannot is offered a new start, which only the reader may give. */
  async grow(data) {
    const [frame, now] = [this.frame, objects(data)];
    const more = now - this.objects;
    if (more <= 0) return;
    // a viewer that was replaced or loaded again never ends what it began: what counts is the one that is there
    const viewer = frame.contentDocument;
    if (viewer && this.growing === viewer) {
      this.next = data;
      return;
    }
    [this.growing, this.next] = [viewer, null];
    const there = () => frame === this.frame && frame.contentDocument === viewer;
    const notice = (...words) => fill(this.later, h('div', { class: 'later', role: 'status' }, ...words));
    try {
      await frame.contentWindow.takeInArrivals();
      if (!there()) return;
      this.objects = now;
      notice(h('span', null, `${count(more, 'more object has', 'more objects have')} joined the images.`));
      setTimeout(() => { if (there() && this.objects === now) fill(this.later); }, NOTICE_MS);
    } catch {
      if (!there()) return;
      const { title } = frame;
      notice(h('span', null, `${count(more, 'more object has', 'more objects have')} arrived.`),
        h('button', { type: 'button', class: 'small', onclick: () => { this.clear(); this.show(data, title); } }, 'Load them'));
    } finally {
      if (there() && this.growing === viewer) this.grown();
    }
  }

  /** What came while the viewer was taking in goes on from there. */
  grown() {
    const next = this.next;
    [this.growing, this.next] = [null, null];
    if (next) this.grow(next);
  }

  /** Keys of the page work in the viewer too, reading is activity, and a black viewport is drawn again. */
  attend(frame) {
    try {
      if (frame.contentDocument?.contentType === 'text/plain') {
        const words = frame.contentDocument.body.textContent;
        this.clear(h('div', { class: 'empty' }, h('strong', null, 'There are no images to show.'), h('pre', null, words)));
        return;
      }
      if (frame.attended === frame.contentWindow.document) return;
      frame.attended = frame.contentWindow.document;
      listenIn(frame);
      keepAlive([frame.contentWindow]);
      redraw(frame);
    } catch {
      // a frame that has gone on by itself is not ours any more
    }
  }

  /** No images of any case are on the screen any more, but these words. */
  clear(...instead) {
    this.frame?.remove();
    this.frame = null;
    this.address = null;
    [this.growing, this.next] = [null, null];
    fill(this.later);
    fill(this.over, ...instead);
  }

  focus() {
    this.frame?.focus();
    this.frame?.contentWindow?.focus();
  }

  /** Whether the viewer, if it is there, is on the studies of this case and on no others, and no other viewer is to be seen. */
  matches() {
    const seen = [...this.element.querySelectorAll('iframe')].filter((frame) => !frame.inert);
    if (seen.some((frame) => frame !== this.frame)) return false;
    if (!this.frame) return true;
    try {
      return studiesOf(this.frame.contentWindow.location.href).every((uid) => this.uids.has(uid));
    } catch {
      return false;
    }
  }
}
