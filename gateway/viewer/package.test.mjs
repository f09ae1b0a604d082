// node --test gateway/viewer: the counts of replacements, the refusal when they differ, the tar format, and the real archive.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { ensure, facts } from './package.mjs';
import { CHANGES, patch, scriptHashes } from './patch.mjs';
import { read, write } from './tar.mjs';

test('a place more or less than expected stops the packaging', () => {
  const changes = [['path', /\.js$/, 'p = "/"', 'p = "/viewer/"', 2]];
  const files = () => new Map([['a.js', Buffer.from('p = "/";')], ['b.js', Buffer.from('p = "/";')], ['a.js.map', Buffer.from('x')]]);
  const good = files();
  assert.deepEqual(patch(good, changes), { path: 2 });
  assert.equal(good.get('b.js').toString(), 'p = "/viewer/";');
  assert.ok(!good.has('a.js.map'));
  const fewer = files();
  fewer.delete('b.js');
  assert.throws(() => patch(fewer, changes), /1 places found, 2 expected/);
});

test('only inline scripts get a hash', () => {
  assert.deepEqual(scriptHashes('<script>a</script><script src="x"></script>'), ["'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='"]);
});

test('what is written to a tar is read from it', () => {
  const files = [['a/b', Buffer.from('one')], ['empty', Buffer.alloc(0)], ['big', Buffer.alloc(1500, 7)]];
  assert.deepEqual([...read(write(files))].map(([name, bytes]) => [name, bytes.length]), [['a/b', 3], ['empty', 0], ['big', 1500]]);
  assert.throws(() => write([['x'.repeat(101), Buffer.alloc(0)]]), /longer/);
});

test('the real archive has every change, and no address of another place in what it changed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'viewer-'));
  try {
    const archive = join(folder, 'ohif.tar');
    assert.equal(ensure(archive), true);
    const made = statSync(archive).mtimeMs;
    assert.equal(ensure(archive), false);
    assert.equal(statSync(archive).mtimeMs, made);
    const head = facts(archive);
    assert.deepEqual(Object.values(head.changes), CHANGES.map(([, , , , expected]) => expected));
    assert.equal(head.inline_scripts.length, 2);
    assert.equal(head.decode_workers.length, 1);
    const files = new Map(read(readFileSync(archive)));
    const page = files.get('files/index.html').toString('utf8');
    assert.ok(!/(src|href)="(?!\/viewer\/)/.test(page));
    const bundle = [...files.keys()].find((name) => name.startsWith('files/app.bundle.') && name.endsWith('.js.gz'));
    assert.ok(gunzipSync(files.get(bundle)).includes('__webpack_require__.p = "/viewer/";'));
    assert.ok(![...files.keys()].some((name) => /^files\/(ort|dicom-microscopy-viewer)\/|\.map|app-config/.test(name)));
    assert.ok([...files.keys()].filter((name) => name.endsWith('.wasm.gz')).length >= 4, 'the codecs are there');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
