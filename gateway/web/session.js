// Who is reading: the account, signing in again in place, unlocking the signing key, theme and sign-out.

import { get, onSignedOut, post, call, Problem, sentence } from '/web/api.js';
import { h } from '/web/dom.js';
import { open } from '/web/dialog.js';

let account = null;
let lastTold = Date.now();
let lastActive = Date.now();
let asking = null;

export const who = () => account;

export function goToSignIn() {
  const back = location.pathname + location.search;
  location.assign(back === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(back)}`);
}

/** The account of this session; without one the browser goes to the sign-in page. */
export async function signedIn() {
  try {
    account = (await get('/me', { quiet: true })).data;
  } catch (error) {
    if (error instanceof Problem && error.status === 401) {
      goToSignIn();
      return new Promise(() => {});
    }
    throw error;
  }
  onSignedOut(() => (asking ??= askAgain().finally(() => { asking = null; })));
  return account;
}

async function askAgain() {
  const password = h('input', { type: 'password', id: 'again', autocomplete: 'current-password', autofocus: true, required: true });
  const dialog = open({
    title: 'Your session has ended',
    class: 'narrow',
    stays: true,
    body: [
      h('p', null, 'Nothing is lost. Sign in again to go on where you were.'),
      h('p', { class: 'dim' }, account.user),
      h('label', { for: 'again' }, 'Password'),
      password,
    ],
    buttons: [
      { label: 'Sign out', act: () => { goToSignIn(); return null; } },
      {
        label: 'Sign in',
        primary: true,
        act: async () => {
          try {
            account = (await post('/session', { user: account.user, password: password.value }, { quiet: true })).data.account;
            return true;
          } catch (error) {
            dialog.say(error instanceof Problem && error.status === 401 ? 'That is not the password.' : sentence(error));
            password.select();
            return false;
          }
        },
      },
    ],
  });
  return Boolean(await dialog.closed);
}

/** Asks for the password that unlocks the signing key; true when it is unlocked. */
export async function unlock() {
  const password = h('input', { type: 'password', id: 'unlock', autocomplete: 'current-password', autofocus: true, required: true });
  const dialog = open({
    title: 'Unlock your signing key',
    class: 'narrow',
    body: [
      h('p', null, 'Your signing key locks itself after 30 minutes without activity. Your password unlocks it.'),
      h('label', { for: 'unlock' }, 'Password'),
      password,
    ],
    buttons: [
      { label: 'Cancel', value: false },
      {
        label: 'Unlock',
        primary: true,
        act: async () => {
          try {
            await post('/signing-key/unlock', { password: password.value });
            return true;
          } catch (error) {
            dialog.say(error instanceof Problem && error.status === 403 ? (error.body.detail || 'That is not the password.') : sentence(error));
            password.select();
            return false;
          }
        },
      },
    ],
  });
  return Boolean(await dialog.closed);
}

export async function signOut() {
  try {
    await call('DELETE', '/session', { quiet: true });
  } finally {
    try {
      sessionStorage.clear();
    } catch {
      // nothing was kept
    }
    location.assign('/sign-in');
  }
}

export function switchTheme() {
  const root = document.documentElement;
  const theme = root.dataset.theme === 'light' ? 'dark' : 'light';
  root.dataset.theme = theme;
  try {
    localStorage.setItem('causeway-theme', theme);
  } catch {
    // kept for this page only
  }
}

/** Reading is activity: tells the gateway at most every four minutes, so that the key stays unlocked while somebody works. */
export function keepAlive(targets) {
  const active = () => {
    lastActive = Date.now();
    if (lastActive - lastTold < 240_000) return;
    lastTold = lastActive;
    get('/me', { quiet: true }).catch(() => {});
  };
  for (const target of targets) {
    for (const kind of ['keydown', 'pointerdown', 'wheel']) target.addEventListener(kind, active, { passive: true, capture: true });
  }
}

/** Whether somebody has done something in this window within so many milliseconds. */
export const activeWithin = (milliseconds) => Date.now() - lastActive < milliseconds;
