// The case page: what was asked on the left, images in the middle, the report on the right, the same banner above all of it.

import { fill, h } from '/web/dom.js';
import { keepAlive } from '/web/session.js';
import { mark } from '/web/top.js';
import { Images } from '/web/case/images.js';
import { splitter } from '/web/case/splitter.js';
import { letGo, onOrders } from '/web/case/windows.js';
import { Case } from '/web/case/one.js';

/** The place where cases are shown, one after the other. Its parts stay, so that viewers stay; what they hold belongs to one case. */
export class CaseView {
  constructor() {
    this.images = new Images();
    this.top = h('div', { class: 'case-top' });
    this.left = h('aside', { class: 'order', 'aria-label': 'Order and series', tabindex: -1 });
    this.report = h('section', { class: 'report-side', 'aria-label': 'Report' });
    this.desk = h('div', { class: 'desk' }, this.left, h('section', { class: 'middle', 'aria-label': 'Images' }, this.images.element));
    this.desk.append(splitter(this.desk), this.report);
    // stands before the desk whenever there is no case to show
    this.words = h('div', { class: 'cover', hidden: true });
    this.element = h('div', { class: 'view page', inert: true }, this.top, h('div', { class: 'case-body' }, this.desk, this.words));
    this.case = null;
    onOrders({ blank: () => this.case?.blank(), matches: () => this.case?.matches() ?? true });
    keepAlive([window]);
  }

  /** Words in place of a case: nothing of any case is on the page then. */
  cover(...words) {
    this.images.clear();
    fill(this.top, mark('Worklist'));
    fill(this.left);
    fill(this.report);
    fill(this.words, ...words);
    this.words.hidden = false;
    this.desk.inert = true;
  }

  uncover() {
    this.words.hidden = true;
    fill(this.words);
    this.desk.inert = false;
  }

  open(id, signal) {
    this.cover(h('p', { class: 'loading' }, 'Loading the case…'));
    document.title = 'Case · Causeway';
    this.case = new Case(this, id, signal);
    this.case.start();
  }

  /** No case is shown any more. */
  leave() {
    this.case = null;
    // images of a case that is not read next have nothing to do behind the list
    if (this.images.ready.address) this.images.ready.drop();
    this.cover();
    letGo();
  }
}
