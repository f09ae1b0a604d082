// From the worklist to a case and back in one document: the viewer that stands ready is not lost on the way.

const changed = new EventTarget();

/** What the address says: `{ view: 'list' }`, or `{ view: 'case', id }`. */
export function here() {
  const [, part, id] = location.pathname.split('/');
  return part === 'case' ? { view: 'case', id: decodeURIComponent(id ?? '') } : { view: 'list' };
}

/** Goes to a path of the reading room; the browser's back button comes back from there. */
export function go(path) {
  if (location.pathname === path) return;
  history.pushState(null, '', path);
  changed.dispatchEvent(new Event('here'));
}

export const toList = () => go('/');
export const toCase = (id) => go(`/case/${encodeURIComponent(id)}`);

/** Calls `show` whenever the address is another place of the reading room, also by a link or by the back button. */
export function follow(show) {
  changed.addEventListener('here', show);
  addEventListener('popstate', show);
  addEventListener('click', (event) => {
    const link = event.target.closest?.('a[href]');
    const elsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented;
    if (!link || elsewhere || link.target || link.origin !== location.origin || !/^\/(case\/[^/]+)?$/.test(link.pathname)) return;
    event.preventDefault();
    go(link.pathname);
  });
}
