// What every page has around it: the bar with name, keys, theme and sign-out, and the banner when the gateway cannot be reached.

import { connection, isReachable, watch } from '/web/api.js';
import { h } from '/web/dom.js';
import { command, showHelp } from '/web/keys.js';
import { switchButton } from '/web/ring.js';
import { signOut, switchTheme, who } from '/web/session.js';

/** The strip that says that the line is down; it appears and goes by itself. */
export function lineBanner() {
  const retry = watch();
  const button = h('button', { type: 'button', onclick: retry }, 'Try now');
  const strip = h('div', { class: 'line-down', role: 'status', hidden: isReachable() },
    h('span', null, h('strong', null, 'The gateway cannot be reached.'), ' What you type is kept in this window. Trying again every few seconds.'), button);
  connection.addEventListener('lost', () => { strip.hidden = false; });
  connection.addEventListener('back', () => { strip.hidden = true; });
  return strip;
}

/** The account's corner. */
export function corner() {
  const me = who();
  return h('div', { class: 'corner' },
    h('span', { class: 'me' }, [me.title, me.name].filter(Boolean).join(' ')),
    h('button', { type: 'button', class: 'quiet', title: 'Keys (?)', 'aria-label': 'Show the keys', onclick: showHelp }, '?'),
    document.body.dataset.page === 'room' ? switchButton() : null,
    h('button', { type: 'button', class: 'quiet', title: 'Dark or light', 'aria-label': 'Switch between dark and light', onclick: switchTheme }, '◐'),
    h('button', { type: 'button', class: 'quiet', onclick: signOut }, 'Sign out'));
}

command('Alt+t', 'dark or light', () => switchTheme(), { group: 'Everywhere' });

/** The way home. */
export const mark = (title) => h('a', { class: 'brand', href: '/', title }, h('img', { src: '/web/mark.svg', alt: 'Worklist', width: 26, height: 26 }));
