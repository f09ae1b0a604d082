// One picture of the case while the viewer loads: a viewer takes seconds to start, a picture that the gateway rendered does not.

import { h } from '/web/dom.js';

const EVERY_MS = 100;
/** A viewer that shows nothing for so long has something else to say. */
const LIMIT_MS = 60_000;
const SIDE = 8;

/** Whether anything but black is on the canvas. */
function shows(canvas) {
  const small = new OffscreenCanvas(SIDE, SIDE).getContext('2d', { willReadFrequently: true });
  small.drawImage(canvas, 0, 0, SIDE, SIDE);
  return small.getImageData(0, 0, SIDE, SIDE).data.some((value, at) => at % 4 < 3 && value > 24);
}

function viewerShows(frame) {
  try {
    const canvas = frame.contentDocument?.querySelector('canvas.cornerstone-canvas');
    return Boolean(canvas?.width) && shows(canvas);
  } catch {
    return false;
  }
}

/** The picture of a series of a case, which goes by itself as soon as the viewer in `frame` shows one. */
export function firstLook(within, study, series, frame) {
  const picture = h('img', {
    // asked for within the case: another site may have sent a study with the same UID
    src: `/dicomweb/cases/${encodeURIComponent(within)}/studies/${study}/series/${series}/thumbnail?viewport=512,512`,
    alt: 'One image of the study, while the viewer loads',
  });
  const element = h('div', { class: 'first-look' }, picture, h('span', null, 'A first look; the viewer is loading'));
  const begun = performance.now();
  picture.onerror = () => element.remove();
  picture.onload = () => { element.classList.add('there'); };
  const timer = setInterval(() => {
    if (element.isConnected && !viewerShows(frame) && performance.now() - begun < LIMIT_MS) return;
    clearInterval(timer);
    element.remove();
  }, EVERY_MS);
  return element;
}
