// Tells the page when something has changed: events from the gateway, and asking by the clock when they do not come.

const POLL_S = 10;
// a window that nobody looks at asks as well: a study that is withdrawn leaves every window within a minute (P17)
const SLOW_POLL_S = 25;
const REOPEN_S = 15;

/** Calls `changed(kind, data)` for the named events, and `changed('poll')` by the clock. Answers a function that stops it. */
export function listen(kinds, changed) {
  let source = null;
  let live = false;
  let last = Date.now();
  let opened = 0;
  const open = () => {
    opened = Date.now();
    source = new EventSource('/api/v1/events');
    source.onopen = () => { live = true; };
    source.onerror = () => {
      live = false;
      if (source.readyState === EventSource.CLOSED) source = null;
    };
    for (const kind of kinds) {
      source.addEventListener(kind, (event) => {
        let data = {};
        try {
          data = JSON.parse(event.data);
        } catch {
          // an event without data still says that something changed
        }
        last = Date.now();
        changed(kind, data);
      });
    }
  };
  const tick = () => {
    if (!source && Date.now() - opened > REOPEN_S * 1000) open();
    const wait = live ? SLOW_POLL_S : POLL_S;
    if (Date.now() - last < wait * 1000) return;
    last = Date.now();
    changed('poll', {});
  };
  const again = () => {
    if (document.hidden) return;
    last = Date.now();
    changed('poll', {});
  };
  open();
  const timer = setInterval(tick, 2_000);
  document.addEventListener('visibilitychange', again);
  addEventListener('pageshow', again);
  return () => {
    clearInterval(timer);
    source?.close();
    document.removeEventListener('visibilitychange', again);
    removeEventListener('pageshow', again);
  };
}
