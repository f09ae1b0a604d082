// Rings for a STAT that nobody has taken: two soft tones that the browser makes itself, once a minute, and a quiet strip. It can be switched
// off in this browser, or silenced for what waits now; what comes later rings again. Of several windows one rings.

import { get } from '/web/api.js';
import { count, fill, h } from '/web/dom.js';
import { command } from '/web/keys.js';
import { every } from '/web/time.js';

const KEPT = 'causeway-ring';
const AGAIN_MS = 60_000;
const ASK_S = 20;
/** In Hz, a fifth: heard over speech and a fan, and no siren. */
const TONES = [587.3, 880];

let waiting = [];
let silenced = new Set();
let rung = 0;
let mine = !navigator.locks;
let sound = null;
let button = null;

const strip = h('div', { class: 'stat-waits', role: 'alert', hidden: true });

function isOn() {
  try {
    return localStorage.getItem(KEPT) !== 'off';
  } catch {
    return true;
  }
}

function keep(on) {
  try {
    localStorage.setItem(KEPT, on ? 'on' : 'off');
  } catch {
    // storage is switched off: it is on again in the next window
  }
}

/** The browser's own synthesiser; it stays silent until the reader has touched a key or the mouse in this window. */
function synthesiser() {
  const Made = window.AudioContext;
  if (!sound && Made) sound = new Made();
  return sound;
}

function play() {
  const made = synthesiser();
  if (!made) return;
  made.resume().catch(() => {});
  TONES.forEach((tone, at) => {
    const begins = made.currentTime + at * 0.45;
    const voice = made.createOscillator();
    const loud = made.createGain();
    voice.type = 'sine';
    voice.frequency.value = tone;
    loud.gain.setValueAtTime(0, begins);
    loud.gain.linearRampToValueAtTime(0.2, begins + 0.04);
    loud.gain.exponentialRampToValueAtTime(0.001, begins + 0.8);
    voice.connect(loud).connect(made.destination);
    voice.start(begins);
    voice.stop(begins + 0.85);
  });
}

function silence() {
  silenced = new Set(waiting.map((item) => item.workitem));
  draw();
}

function switchSound() {
  const on = !isOn();
  keep(on);
  // what is switched on is heard, so that nobody trusts a muted machine
  if (on) play();
  draw();
}

const loud = () => waiting.filter((item) => !silenced.has(item.workitem));

function draw() {
  const open = loud();
  strip.hidden = !open.length;
  if (open.length) {
    fill(strip, h('span', null, h('strong', null, `STAT: ${count(open.length, 'case')} waiting`), isOn() ? '' : ' (sound is off)'),
      h('button', { type: 'button', onclick: silence }, 'Silence'));
  }
  if (button) {
    const on = isOn();
    button.title = on ? 'Rings for a STAT; switch the sound off' : 'No sound for a STAT; switch it on';
    button.setAttribute('aria-pressed', String(on));
  }
}

/** Takes note of the worklist as it is now. */
export function heard(items) {
  waiting = items.filter((item) => item.state === 'SCHEDULED' && item.priority === 'stat' && item.readiness !== 'UNAVAILABLE');
  const known = new Set(waiting.map((item) => item.workitem));
  silenced = new Set([...silenced].filter((one) => known.has(one)));
  draw();
  ring();
}

let before = new Set();

function ring() {
  const open = loud();
  const fresh = open.some((item) => !before.has(item.workitem));
  before = new Set(open.map((item) => item.workitem));
  if (!open.length || !isOn() || !mine) return;
  if (!fresh && Date.now() - rung < AGAIN_MS) return;
  rung = Date.now();
  play();
}

/** The switch for the corner of the page. */
export function switchButton() {
  button = h('button', { type: 'button', class: 'quiet', dataset: { act: 'ring' }, 'aria-label': 'Ring for a STAT', onclick: switchSound }, '♪');
  draw();
  return button;
}

/** Begins to listen, and answers the strip. `listed` says whether the list is on the screen: then it tells us, else we ask. */
export function begin(listed) {
  navigator.locks?.request(KEPT, () => {
    mine = true;
    ring();
    // for as long as this window lives
    return new Promise(() => {});
  });
  // a browser lets a page be heard after its reader's first touch
  const wake = () => synthesiser()?.resume().catch(() => {});
  for (const kind of ['keydown', 'pointerdown']) addEventListener(kind, wake, { once: true, capture: true });
  every(ASK_S, async () => {
    if (listed()) return ring();
    try {
      const { data } = await get('/worklist', { background: true });
      return heard(data.items ?? []);
    } catch {
      // the strip of the line says it
      return undefined;
    }
  });
  command('Alt+r', 'ring for a STAT, or not', () => switchSound(), { group: 'Everywhere' });
  return strip;
}
