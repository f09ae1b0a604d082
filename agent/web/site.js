// The little that plain pages cannot do: local times, a list that keeps itself fresh, printing, light or dark.

const root = document.documentElement;

function localTimes(within) {
  for (const time of within.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    // paper is read on another day
    const today = new Date().toDateString() === at.toDateString() && !time.closest('.paper');
    const clock = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
    const day = at.toLocaleDateString('sv-SE');
    time.title = `${day} ${at.toLocaleTimeString([], { hour12: false })}, local time`;
    time.textContent = today ? clock : `${day} ${clock}`;
  }
}

/** Fetches the page again and puts the fresh part in the place of the old, unless somebody is busy in it. */
async function refresh(part) {
  if (document.hidden || part.contains(document.activeElement) || String(getSelection())) return;
  try {
    const answer = await fetch(location.pathname, { headers: { 'causeway-refresh': '1' }, redirect: 'manual' });
    if (answer.type === 'opaqueredirect') {
      location.reload();
      return;
    }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('[data-refresh]');
    if (!fresh) return;
    localTimes(fresh);
    part.replaceChildren(...fresh.childNodes);
    part.classList.remove('stale');
  } catch {
    part.classList.add('stale');
  }
}

function theme() {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try {
    localStorage.setItem('causeway-site-theme', root.dataset.theme);
  } catch {
    // storage is switched off: it holds for this page
  }
}

const acts = { theme, print: () => print() };
for (const button of document.querySelectorAll('[data-act]')) {
  button.hidden = false;
  button.addEventListener('click', acts[button.dataset.act]);
}

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select');
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const field = document.getElementById('what');
  if (field) field.focus();
  else if (document.querySelector('.top nav')) location.assign('/find');
});

// a form that was sent is not sent twice
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = 'yes';
});
addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent;
});

if (location.hash) {
  const named = document.getElementById(location.hash.slice(1));
  if (named?.tagName === 'DETAILS') named.open = true;
}
for (const link of document.querySelectorAll('a[href="#recall"]')) {
  link.addEventListener('click', () => { document.getElementById('recall').open = true; });
}

localTimes(document);
const part = document.querySelector('[data-refresh]');
if (part) setInterval(() => refresh(part), Number(part.dataset.refresh) * 1000);
