// The second window: the images of the case, under the same banner.

import { get, Problem, sentence } from '/web/api.js';
import { fill, h } from '/web/dom.js';
import { listen } from '/web/live.js';
import { keepAlive, signedIn } from '/web/session.js';
import { corner, lineBanner } from '/web/top.js';
import { banner, caseCode } from '/web/case/banner.js';
import { goneWords, isWithdrawn, withdrawnNotice } from '/web/case/gone.js';
import { Images, withImages } from '/web/case/images.js';
import { holds, letGo, onOrders, take } from '/web/case/windows.js';

const id = decodeURIComponent(location.pathname.split('/')[2] ?? '');
const images = new Images();
const top = h('div', { class: 'case-top' });
const middle = h('main', { class: 'middle' }, h('p', { class: 'loading' }, 'Loading the images…'));
let data = null;

const message = (...words) => fill(middle, h('div', { class: 'empty' }, ...words));

function blank() {
  images.clear();
  fill(top);
  message(h('strong', null, 'Another case is open in another window.'), h('p', null, 'This window shows nothing until you choose.'),
    h('p', null, h('button', { type: 'button', onclick: () => location.reload() }, 'Show ', data ? caseCode(data.code) : 'this case', ' here')));
}

async function refresh(background = false) {
  try {
    data = (await get(`/cases/${encodeURIComponent(id)}`, { background })).data;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) {
      letGo();
      images.clear();
      fill(top);
      message(h('strong', null, 'There is no such case for you.'), h('p', null, 'It may have been withdrawn, or given to somebody else.'));
    } else if (!data) {
      message(h('strong', null, 'The images could not be opened.'), h('p', null, sentence(error)));
    }
    return;
  }
  if (!holds(id)) return;
  document.title = `${data.code} images · Causeway`;
  fill(top, banner(data), corner());
  if (isWithdrawn(data)) {
    images.clear();
    fill(middle, withdrawnNotice());
    return;
  }
  if (goneWords(data) && !withImages(data).length) {
    images.clear();
    message(h('strong', null, 'There are no images any more.'), h('p', null, goneWords(data)));
    return;
  }
  if (!images.element.isConnected) fill(middle, images.element);
  images.show(data, `Images of case ${data.code}`);
}

fill(document.body, h('div', { class: 'page' }, top, lineBanner(), middle));
onOrders({ blank, matches: () => images.matches() });
await signedIn();
try {
  await take(id);
  await refresh();
  keepAlive([window]);
  listen(['case'], (kind, event) => { if (!event.case || event.case === id) refresh(true); });
} catch (error) {
  message(h('strong', null, 'The images could not be opened.'), h('p', null, error.message));
}
