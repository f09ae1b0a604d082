// The sign-in page.

import { post, Problem, sentence } from '/web/api.js';
import { fill, h } from '/web/dom.js';

/** Only an address on this server, and no other. */
function next() {
  const wanted = new URLSearchParams(location.search).get('next') ?? '/';
  return /^\/(?![/\\])/.test(wanted) ? wanted : '/';
}

const user = h('input', { id: 'user', name: 'username', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', autofocus: true, required: true });
const password = h('input', { id: 'password', name: 'password', type: 'password', autocomplete: 'current-password', required: true });
const alert = h('p', { class: 'alert', role: 'alert', hidden: true });
const button = h('button', { type: 'submit', class: 'primary wide' }, 'Sign in');

async function submit(event) {
  event.preventDefault();
  button.disabled = true;
  button.textContent = 'Signing in…';
  alert.hidden = true;
  try {
    await post('/session', { user: user.value.trim(), password: password.value });
    location.replace(next());
  } catch (error) {
    const wrong = error instanceof Problem && (error.status === 401 || error.status === 403);
    alert.textContent = wrong ? (error.body.detail || 'The name or the password is not right.') : sentence(error);
    alert.hidden = false;
    button.disabled = false;
    button.textContent = 'Sign in';
    password.select();
    password.focus();
  }
}

fill(document.body, h('main', { class: 'sign-in' },
  h('form', { onsubmit: submit },
    h('h1', null, h('img', { src: '/web/mark.svg', alt: '', width: 40, height: 40 }), 'Causeway'),
    h('p', { class: 'dim' }, 'The reading room'),
    alert,
    h('label', { for: 'user' }, 'Name'), user,
    h('label', { for: 'password' }, 'Password'), password,
    button,
    h('p', { class: 'dim small' }, 'Signing in also unlocks your signing key in this browser, for 30 minutes after your last activity.')),
  h('footer', null, 'Not a medical device, no CE mark; the operator answers for clinical use.')));
user.focus();
