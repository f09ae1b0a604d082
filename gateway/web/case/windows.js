// One case at a time in this browser: images of one patient must never stand beside the report of another.
// A window that shows a case holds a lock whose name says which; the browser itself drops it when the window is gone, so the list of
// locks is the truth about what is on the screens. Switching and signing happen under one lock that only one window can hold.

const SHOWS = 'causeway-shows/';
const SWITCH = 'causeway-switch';
const WAIT_MS = 3_000;

const self = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
const channel = new BroadcastChannel('causeway-case');
let shown = null;
let release = null;
let answers = null;

export class OtherCase extends Error {}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function holders() {
  const { held } = await navigator.locks.query();
  return held.filter((lock) => lock.name.startsWith(SHOWS)).map((lock) => {
    const [showing, window] = lock.name.slice(SHOWS.length).split('/');
    return { showing, window };
  });
}

function hold(caseId) {
  return new Promise((resolve) => {
    navigator.locks.request(`${SHOWS}${caseId}/${self}`, () => new Promise((let_go) => {
      release = let_go;
      shown = caseId;
      resolve();
    }));
  });
}

/** Whether this window may show the case now. What was asked of the server before another window took over must not be drawn after. */
export const holds = (caseId) => shown === caseId || !navigator.locks;

/** Lets go of the case: this window shows nothing of it any more. */
export function letGo() {
  release?.();
  release = null;
  shown = null;
}

/** Makes every other window blank what is not this case, waits until it has, and only then takes the case. */
export async function take(caseId) {
  if (!navigator.locks) return;
  await navigator.locks.request(SWITCH, async () => {
    if (shown === caseId) return;
    letGo();
    const until = Date.now() + WAIT_MS;
    for (;;) {
      channel.postMessage({ kind: 'blank', except: caseId });
      await pause(30);
      if ((await holders()).every((one) => one.showing === caseId)) break;
      if (Date.now() > until) throw new OtherCase('Another window still shows another case and does not answer. Close it, then load this page again.');
    }
    await hold(caseId);
  });
}

/** Tells the page to blank, and asks it whether what it shows is right. */
export function onOrders({ blank, matches }) {
  channel.onmessage = ({ data }) => {
    if (data.kind === 'blank' && shown && shown !== data.except) {
      blank();
      letGo();
    }
    if (data.kind === 'roll-call' && shown) channel.postMessage({ kind: 'here', call: data.call, window: self, showing: shown, right: matches() });
    if (data.kind === 'here') answers?.(data);
  };
  addEventListener('pageshow', (event) => {
    if (event.persisted) location.reload();
  });
}

async function everyWindowAnswers(caseId, own) {
  if (!own()) throw new OtherCase('The viewer in this window does not show the images of this case. Load the page again.');
  const others = (await holders()).filter((one) => one.window !== self);
  const wrong = others.find((one) => one.showing !== caseId);
  if (wrong) throw new OtherCase('Another window shows another case. Close it, or open this case there, and sign again.');
  const missing = new Set(others.map((one) => one.window));
  if (!missing.size) return;
  const call = `${self}/${performance.now()}`;
  const right = await new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), WAIT_MS);
    answers = (answer) => {
      if (answer.call !== call) return;
      if (answer.showing !== caseId || !answer.right) missing.add('wrong');
      missing.delete(answer.window);
      if (missing.size && !missing.has('wrong')) return;
      clearTimeout(late);
      resolve(!missing.size);
    };
    channel.postMessage({ kind: 'roll-call', call });
  });
  answers = null;
  if (!right) throw new OtherCase('Another window of this browser has not confirmed that it shows this case. Close it and sign again.');
}

/**
 * Does the act (signing) only when every window that shows a case shows this one and has said so; no window can switch meanwhile.
 * Throws OtherCase otherwise.
 */
export async function whileAlone(caseId, own, act) {
  if (!navigator.locks) throw new OtherCase('Signing needs an https address: without it this browser cannot make sure that no other window shows another case.');
  return navigator.locks.request(SWITCH, async () => {
    if (shown !== caseId) throw new OtherCase('This window does not show the case.');
    await everyWindowAnswers(caseId, own);
    return act();
  });
}
