// The bar between images and report: moved by mouse or by arrow keys, remembered in this browser.

import { h } from '/web/dom.js';

const KEY = 'causeway-report-width';
const bounded = (width) => Math.round(Math.min(Math.max(width, 340), innerWidth * 0.6));

export function splitter(container) {
  const set = (width, keep) => {
    container.style.setProperty('--report-width', `${bounded(width)}px`);
    bar.setAttribute('aria-valuenow', bounded(width));
    try {
      if (keep) localStorage.setItem(KEY, bounded(width));
    } catch {
      // for this page only
    }
  };
  const width = () => container.lastElementChild.getBoundingClientRect().width;
  const bar = h('div', {
    class: 'splitter', role: 'separator', tabindex: 0, 'aria-orientation': 'vertical', 'aria-label': 'Width of the report',
    onkeydown: (event) => {
      const step = { ArrowLeft: 24, ArrowRight: -24 }[event.key];
      if (!step || event.ctrlKey || event.altKey) return;
      event.preventDefault();
      set(width() + step, true);
    },
    onpointerdown: (event) => {
      bar.setPointerCapture(event.pointerId);
      container.classList.add('dragging');
    },
    onpointermove: (event) => {
      if (bar.hasPointerCapture(event.pointerId)) set(container.getBoundingClientRect().right - event.clientX, false);
    },
    onpointerup: (event) => {
      bar.releasePointerCapture(event.pointerId);
      container.classList.remove('dragging');
      set(width(), true);
    },
  });
  try {
    const kept = Number(localStorage.getItem(KEY));
    if (kept) container.style.setProperty('--report-width', `${bounded(kept)}px`);
  } catch {
    // the width of the style sheet
  }
  return bar;
}
