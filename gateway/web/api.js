// Calls of /api/v1: JSON both ways, problems as errors with their sentences, one place that knows whether the gateway can be reached.

const ROOT = '/api/v1';
const TIMEOUT_MS = 20_000;

/** The gateway answered, and said no (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(asSentence(body.detail || body.title || `the gateway answered ${status}`));
    this.status = status;
    this.body = body;
    this.kind = String(body.type ?? '').split(/[/:#]/).pop();
  }
}

/** The gateway says why in a clause; here it becomes a sentence. */
export const asSentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

/** The gateway did not answer. */
export class Unreachable extends Error {
  constructor(cause) {
    super('The gateway cannot be reached.', { cause });
  }
}

export const connection = new EventTarget();
let reachable = true;
let askSignIn = null;

export const isReachable = () => reachable;

function mark(now) {
  if (now === reachable) return;
  reachable = now;
  connection.dispatchEvent(new Event(now ? 'back' : 'lost'));
}

/** What to do when the session has ended: asks in place and answers true when there is a new one. */
export function onSignedOut(ask) {
  askSignIn = ask;
}

async function send(method, path, { body, headers = {}, timeout = TIMEOUT_MS, keepalive = false, background = false } = {}) {
  const request = { method, headers: { Accept: 'application/json', ...headers }, credentials: 'same-origin', keepalive, signal: AbortSignal.timeout(timeout) };
  if (method !== 'GET') request.headers['X-Causeway'] = '1';
  // asked by the clock, not by a person: keeps no session alive
  if (background) request.headers['X-Causeway-Background'] = '1';
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers['Content-Type'] = 'application/json';
  }
  let response;
  let raw;
  try {
    response = await fetch(ROOT + path, request);
    raw = await response.text();
  } catch (error) {
    mark(false);
    throw new Unreachable(error);
  }
  if (response.status === 502 || response.status === 504) {
    mark(false);
    throw new Unreachable();
  }
  mark(true);
  const json = /json/.test(response.headers.get('Content-Type') ?? '');
  let data = raw;
  if (json && raw) {
    try {
      data = JSON.parse(raw);
    } catch {
      throw new Problem(response.status, { title: 'The gateway’s answer was cut off.' });
    }
  }
  if (!response.ok) throw new Problem(response.status, json && data ? data : { title: raw.slice(0, 200) });
  return { data, status: response.status, etag: response.headers.get('ETag') };
}

/** One call; when the session has ended it is asked for in place, once, and the call repeated. */
export async function call(method, path, options = {}) {
  try {
    return await send(method, path, options);
  } catch (error) {
    const ended = error instanceof Problem && error.status === 401 && error.kind !== 'signing-key-locked';
    if (!ended || !askSignIn || options.quiet) throw error;
    if (!(await askSignIn())) throw error;
    return send(method, path, options);
  }
}

export const get = (path, options) => call('GET', path, options);
export const post = (path, body, options) => call('POST', path, { body, ...options });
export const put = (path, body, options) => call('PUT', path, { body, ...options });

/** A sentence for the reader, whatever went wrong. */
export function sentence(error) {
  if (error instanceof Problem || error instanceof Unreachable) return error.message;
  return 'Something went wrong in this page. Load it again; what you typed is kept.';
}

/** While the gateway cannot be reached, asks again by itself, and again when the network or the window comes back. */
export function watch() {
  let timer = null;
  const ask = async () => {
    timer = null;
    try {
      await send('GET', '/me', { timeout: 5_000, background: true });
    } catch (error) {
      if (error instanceof Unreachable) timer = setTimeout(ask, 3_000);
    }
  };
  const now = () => {
    clearTimeout(timer);
    return ask();
  };
  connection.addEventListener('lost', () => {
    timer ??= setTimeout(ask, 1_500);
  });
  addEventListener('online', now);
  addEventListener('offline', () => mark(false));
  return now;
}
