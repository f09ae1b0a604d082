// Packages the viewer: node package.mjs <archive>. Fetches the pinned release from the npm registry, checks its integrity, patches it
// (patch.mjs), and writes one tar whose files are gzipped already, so that the gateway serves them as they are. Does nothing when the
// archive is there and was made from the same pin by the same scripts.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, closeSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

import { decodeWorkers, patch, scriptHashes } from './patch.mjs';
import { read, write } from './tar.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const pin = JSON.parse(readFileSync(join(here, 'pin.json'), 'utf8'));
export const FORMAT = 2;

/** A digest over the pin and everything that decides what the archive holds. */
function recipe() {
  const hash = createHash('sha256');
  for (const name of ['pin.json', 'tar.mjs', 'patch.mjs', 'package.mjs']) hash.update(readFileSync(join(here, name)));
  return hash.digest('hex');
}

/** The facts at the head of an archive, or null when there is none to read. */
export function facts(archive) {
  if (!existsSync(archive)) return null;
  const file = openSync(archive, 'r');
  try {
    const head = Buffer.alloc(65536);
    readSync(file, head, 0, head.length, 0);
    const [[name, bytes]] = read(head);
    return name === 'facts.json' ? JSON.parse(bytes.toString('utf8')) : null;
  } catch {
    return null;
  } finally {
    closeSync(file);
  }
}

function fetchRelease() {
  const folder = mkdtempSync(join(tmpdir(), 'ohif-'));
  try {
    const wanted = `${pin.name}@${pin.version}`;
    const answer = execFileSync('npm', ['pack', wanted, '--json', '--pack-destination', folder], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 300_000,
    });
    const described = JSON.parse(answer);
    const entry = Array.isArray(described) ? described[0] : Object.values(described)[0];
    const bytes = readFileSync(join(folder, entry.filename.replace('@', '').replace('/', '-')));
    const integrity = 'sha512-' + createHash('sha512').update(bytes).digest('base64');
    if (integrity !== pin.integrity) throw new Error(`${wanted} has integrity ${integrity}, the pin says ${pin.integrity}`);
    return gunzipSync(bytes);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function build(release) {
  const files = new Map();
  let licence = null;
  for (const [name, bytes] of read(release)) {
    if (name.startsWith('package/dist/')) files.set(name.slice('package/dist/'.length), bytes);
    if (name === 'package/LICENSE') licence = bytes;
  }
  const counts = patch(files);
  if (licence) files.set('LICENSE', licence);
  const html = files.get('index.html').toString('utf8');
  const about = { format: FORMAT, name: pin.name, version: pin.version, recipe: recipe(), changes: counts, inline_scripts: scriptHashes(html), decode_workers: decodeWorkers(files) };
  const entries = [['facts.json', Buffer.from(JSON.stringify(about, null, 1))]];
  for (const name of [...files.keys()].sort()) {
    const bytes = files.get(name);
    const small = name === 'index.html' ? bytes : gzipSync(bytes, { level: 9 });
    const pays = small.length < bytes.length * 0.95;
    entries.push(pays ? [`files/${name}.gz`, small] : [`files/${name}`, bytes]);
  }
  return write(entries);
}

/** Makes sure that the archive is there; true when it had to be made. */
export function ensure(archive) {
  const present = facts(archive);
  if (present?.format === FORMAT && present.recipe === recipe()) return false;
  const tar = build(fetchRelease());
  mkdirSync(dirname(archive), { recursive: true });
  const partial = `${archive}.${process.pid}.partial`;
  writeFileSync(partial, tar);
  renameSync(partial, archive);
  return true;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [archive] = process.argv.slice(2);
  if (!archive) {
    console.error('usage: node package.mjs <archive>');
    process.exit(2);
  }
  const made = ensure(resolve(archive));
  console.log(`${pin.name} ${pin.version}: ${made ? 'packaged into' : 'already packaged in'} ${archive}`);
}
