// Keyboard commands: one table per page, shown by "?". A command of a single character is silent while text has the focus.

import { h, inText } from '/web/dom.js';
import { open } from '/web/dialog.js';

const commands = [];

/** Whether the pressed keys are the ones of the name "Ctrl+ArrowDown". */
function pressed(event, name) {
  const parts = name.split('+');
  const key = parts.pop() || '+';
  const wanted = (part) => parts.includes(part);
  if (event.ctrlKey !== wanted('Ctrl') || event.altKey !== wanted('Alt') || event.metaKey) return false;
  if (key.length > 1 && event.shiftKey !== wanted('Shift')) return false;
  return event.key === key || (wanted('Alt') && (event.code === `Digit${key}` || event.code === `Key${key.toUpperCase()}`));
}

/** Adds a command, until the signal ends it. `act` returns false when it did not apply; then the key does what it always does. */
export function command(keys, says, act, { group = 'This page', signal } = {}) {
  const one = { keys: [keys].flat(), says, act, group };
  commands.push(one);
  signal?.addEventListener('abort', () => commands.splice(commands.indexOf(one), 1));
}

export function handle(event) {
  if (event.isComposing || event.defaultPrevented) return;
  const modal = document.querySelector('dialog[open]');
  for (const { keys, act } of commands) {
    const name = keys.find((one) => pressed(event, one));
    if (!name) continue;
    if (name.length === 1 && (modal || inText(event.target))) continue;
    // a key that is held down claims, signs and opens nothing more
    if (event.repeat && !/^(Ctrl\+)?Arrow/.test(name)) return event.preventDefault();
    if (act(event, modal) === false) continue;
    event.preventDefault();
    event.stopPropagation();
    return;
  }
}

addEventListener('keydown', handle);

/** The commands that are not single characters keep working while the viewer has the focus. */
export function listenIn(frame) {
  frame.contentWindow.addEventListener(
    'keydown',
    (event) => {
      if (event.key.length > 1 || event.ctrlKey || event.altKey) handle(event);
    },
    true,
  );
}

const SHOWN = { ArrowDown: '↓', ArrowUp: '↑', Escape: 'Esc' };

export const keycap = (name) => h('kbd', null, name.split('+').map((part) => SHOWN[part] ?? part).join(' + '));

export function showHelp() {
  const groups = Map.groupBy?.(commands, (one) => one.group) ?? new Map([['Keys', commands]]);
  open({
    title: 'Keys',
    class: 'help',
    body: [...groups].map(([group, list]) =>
      h('section', null, h('h3', null, group),
        h('dl', { class: 'keys' }, list.filter((one) => one.says).map((one) => [
          h('dt', null, one.keys.map((key, at) => [at ? ' or ' : '', keycap(key)])),
          h('dd', null, one.says),
        ])))),
    buttons: [{ label: 'Close', primary: true }],
  });
}

command('?', 'show these keys', () => showHelp(), { group: 'Everywhere' });
