// What we change in the published viewer so that it lives under /viewer/ and asks nobody else for anything.
// Every change has the count it must be applied; another count means the viewer has changed and a person must look.

import { createHash } from 'node:crypto';

export const PREFIX = '/viewer/';

/** Left out: models of a segmentation tool, source maps, offline caching, sign-in of other servers, the microscope, the sample configuration. */
const LEFT_OUT = [
  /^ort\//,
  /^dicom-microscopy-viewer\//,
  /\.map$/,
  /^assets\/apple-touch-startup-image-/,
  /^(google|es6-shim\.min|polyfill\.min|sw|init-service-worker|oidc-client\.min|app-config)\.js$/,
  /^silent-refresh\.html$/,
  /^(_headers|_redirects|serve\.json)$/,
];

/** [name, which files, what, by what, how often in all] */
export const CHANGES = [
  ['public path', /\.bundle\..*\.js$/, '__webpack_require__.p = "/";', `__webpack_require__.p = "${PREFIX}";`, 7],
  ['microscope import', /\.bundle\..*\.js$/, "browserImportFunction('/", `browserImportFunction('${PREFIX}`, 1],
  // the address of the running script, which there is none of when the part is begun by a style that came last: then it asks for a name of
  // another world, and the viewer stays black
  ['own address', /\.bundle\..*\.js$/, ' true&&(e=e||__filename)', ' true&&(e=e||location.href)', 2],
  ['style urls', /\.css$/, 'url(/', `url(${PREFIX}`, 5],
  ['public url', /^index\.html$/, "PUBLIC_URL = '/'", `PUBLIC_URL = '${PREFIX}'`, 2],
  ['service worker', /^index\.html$/, '<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>', '', 1],
  ['splash screens', /^index\.html$/, /<link rel="apple-touch-startup-image"[^>]*>/g, '', 10],
  ['html src', /^index\.html$/, 'src="/', `src="${PREFIX}`, 2],
  ['html href', /^index\.html$/, 'href="/', `href="${PREFIX}`, 18],
  ['html content', /^index\.html$/, 'content="/', `content="${PREFIX}`, 2],
];

/**
 * Applies every change to the files (a Map of name to bytes) in place and returns how often each was applied.
 * Throws when a count is not the expected one.
 */
export function patch(files, changes = CHANGES) {
  for (const name of [...files.keys()]) {
    if (LEFT_OUT.some((pattern) => pattern.test(name))) files.delete(name);
  }
  const counts = {};
  for (const [title, where, what, by, expected] of changes) {
    let count = 0;
    for (const [name, bytes] of files) {
      if (!where.test(name)) continue;
      const parts = bytes.toString('utf8').split(what);
      if (parts.length === 1) continue;
      count += parts.length - 1;
      files.set(name, Buffer.from(parts.join(by), 'utf8'));
    }
    if (count !== expected) throw new Error(`${title}: ${count} places found, ${expected} expected; the viewer has changed, look before packaging`);
    counts[title] = count;
  }
  return counts;
}

/**
 * The workers that decode images: those with a start of their own that load the part with the decoders. The decoders build functions from
 * text, so their workers, and nothing else, are allowed to.
 */
export function decodeWorkers(files) {
  const scripts = [...files].filter(([name]) => /\.bundle\..*\.js$/.test(name) && !name.startsWith('app.')).map(([name, bytes]) => [name, bytes.toString('utf8')]);
  const parts = scripts.filter(([, text]) => text.includes('decodeTask')).map(([name]) => name.split('.')[0]);
  const workers = scripts.filter(([, text]) => text.includes('__webpack_require__.p = ') && parts.some((part) => text.includes(`__webpack_require__.e(${part})`))).map(([name]) => name);
  if (workers.length !== 1) throw new Error(`decode workers: ${workers.length} found, 1 expected; the viewer has changed, look before packaging`);
  return workers;
}

/** The inline scripts of a page, as sources for its Content-Security-Policy. */
export function scriptHashes(html) {
  return [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, script]) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  );
}
