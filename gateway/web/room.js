// The reading room: the worklist and the case are one document, so that a viewer can stand ready behind both.

import { fill, h } from '/web/dom.js';
import { follow, here } from '/web/go.js';
import { signedIn, who } from '/web/session.js';
import { begin as beginRing } from '/web/ring.js';
import { lineBanner } from '/web/top.js';
import { CaseView } from '/web/case.js';
import { Worklist } from '/web/worklist.js';

/** The viewer's start is work: it begins when the page has drawn and the reader's first keys are served. */
const START_MS = 600;

const list = new Worklist();
const desk = new CaseView();
let life = null;

/** Shows what the address says. What belongs to the place that is left ends with its signal. */
function show() {
  life?.abort();
  life = new AbortController();
  const { view, id } = here();
  document.querySelectorAll('dialog[open]').forEach((one) => one.close());
  list.element.hidden = view !== 'list';
  // not `hidden`: a viewer that stands ready needs its place on the page
  desk.element.inert = view !== 'case';
  document.body.dataset.view = view;
  if (view === 'case') {
    desk.open(id, life.signal);
  } else {
    desk.leave();
    list.open(life.signal);
    prepare(life.signal);
  }
}

/** An operator sees that a case exists, and no images. */
const reads = () => who()?.roles?.some((role) => role !== 'operator');

/** Whoever looks at the list opens a case next, also when he has come back from one. */
function prepare(signal) {
  const idle = window.requestIdleCallback ?? ((act) => setTimeout(act, 0));
  setTimeout(() => idle(() => { if (!signal.aborted && reads()) desk.images.ready.prepare(); }, { timeout: 3_000 }), START_MS);
}

const strip = lineBanner();
fill(document.body, strip, list.element, desk.element);
if (here().view === 'case') desk.cover(h('p', { class: 'loading' }, 'Loading the case…'));
await signedIn();
follow(show);
show();
if (reads()) strip.after(beginRing(() => here().view === 'list'));
