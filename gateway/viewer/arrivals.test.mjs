// node --test gateway/viewer: what arrives while somebody looks joins the sets that a fresh start would put it into, and none is lost.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';

const source = (path) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8');

/** A set of images as the viewer has them: enough of it to be offered what arrives. */
const set = (...images) => ({ images, StudyInstanceUID: '1.2', sort() {}, setAttributes(more) { Object.assign(this, more); } });

/** The viewer around our configuration. It offers what is new of a series to its sets in turn, as OHIF 3.12.10 does, nothing included. */
function viewer(sets, arriving) {
  const made = [];
  const reloaded = [];
  const left = (instances) => instances.filter((one) => !sets.some((set) => set.images.includes(one)));
  const offer = () => {
    let instances = left(arriving);
    for (const set of sets) {
      if (set.addInstances?.(instances)) {
        reloaded.push(set);
        instances = left(instances);
      }
      if (!instances.length) return;
    }
    made.push(...instances);
  };
  const source = { deleteStudyMetadataPromise() {}, retrieve: { series: { async metadata() { offer(); } } } };
  const services = {
    displaySetService: { extensionManager: { getActiveDataSource: () => [source] }, getActiveDisplaySets: () => sets },
    viewportGridService: { getState: () => ({ viewports: new Map() }) },
  };
  return { services, made, reloaded };
}

async function arrive(sets, arriving, waits = () => {}) {
  const context = { location: { search: '?StudyInstanceUIDs=1.2' }, URLSearchParams, setInterval() {}, setTimeout: (act) => { waits(); setImmediate(act); }, performance, XMLHttpRequest: class {}, window: {}, document: { querySelector: () => ({}) } };
  createContext(context);
  runInContext(source('../src/http/viewer/app-config.js'), context);
  assert.equal(context.window.progress().came, false, 'it has not begun');
  const { services, made, reloaded } = viewer(sets, arriving);
  context.window.config({ servicesManager: { services } });
  await context.window.takeInArrivals();
  assert.equal(context.window.progress().came, true, 'however it came to its case');
  return { made, reloaded };
}

const image = (Modality, more) => ({ Rows: 4, Modality, ...more });
const clip = (Modality) => image(Modality, { NumberOfFrames: 30 });

test('what came later joins its stack', async () => {
  const [first, second] = [image('CT'), image('CT', { NumberOfFrames: 1 })];
  const stack = set(first);
  const { made, reloaded } = await arrive([stack], [first, second]);
  assert.deepEqual(stack.images, [first, second]);
  assert.equal(stack.numImageFrames, 2);
  assert.deepEqual([made, reloaded], [[], [stack]]);
});

test('a clip or a view that arrives gets a set of its own', async () => {
  for (const one of [clip('US'), clip('XA'), image('CR'), image('DX'), image('MG')]) {
    const old = { ...one };
    const sets = [set(old), set(image('US'))];
    const { made, reloaded } = await arrive(sets, [old, one]);
    assert.deepEqual(sets.map((set) => set.images.length), [1, 1], one.Modality);
    assert.deepEqual([made, reloaded], [[one], []], one.Modality);
  }
});

test('an image among clips joins the stack and no clip', async () => {
  const [still, loop, more] = [image('US'), clip('US'), clip('US')];
  const later = image('US');
  const sets = [set(loop), set(still)];
  const { made } = await arrive(sets, [loop, still, later, more]);
  assert.deepEqual(sets.map((set) => set.images), [[loop], [still, later]]);
  assert.deepEqual(made, [more]);
  const alone = set(loop);
  assert.deepEqual((await arrive([alone], [loop, later])).made, [later]);
});

test('sets to which nothing came are left alone', async () => {
  const here = image('CT');
  const { reloaded } = await arrive([set(here)], [here]);
  assert.deepEqual(reloaded, []);
});

/** The window's images over documents whose growth the test ends. */
async function images() {
  const stub = `const element = () => ({ append() {} });
    const h = element, viewer = () => globalThis.frames.shift(), fill = () => {}, count = () => '';
    class Ready { take() { return null; } }
    const listenIn = fill, keepAlive = fill, redraw = fill, firstLook = fill, location = { origin: 'http://here' }, setTimeout = fill;
    const setInterval = (act) => { globalThis.tick = act; }, clearInterval = () => { globalThis.tick = null; };
    const current = (data) => data.studies, priors = () => [];`;
  const text = source('../web/case/images.js').replace(/^import .*$/gm, '');
  return import(`data:text/javascript,${encodeURIComponent(stub + text)}`);
}

const frame = (ends) => {
  const one = { addEventListener() {}, remove() {}, contentDocument: {}, asked: 0, contentWindow: { takeInArrivals: () => { one.asked += 1; return ends(); } } };
  return one;
};
const holding = (instances) => ({ case: 'c', studies: [{ uid: '1.2', series: [{ uid: '1.2.3', instances, shown: 'viewer' }] }] });
const settled = () => new Promise((done) => { setImmediate(done); });

test('a viewer that was replaced or loaded again while it took in holds up no other', async () => {
  const { Images } = await images();
  const [lost, next] = [frame(() => new Promise(() => {})), frame(async () => {})];
  globalThis.frames = [lost, next];
  const shown = new Images();
  shown.show(holding(1));
  shown.show(holding(2));
  assert.equal(lost.asked, 1);
  // the same element in the page again: another document
  lost.contentDocument = {};
  shown.show(holding(3));
  assert.equal(lost.asked, 2);
  shown.clear();
  shown.show(holding(3));
  shown.show(holding(4));
  assert.equal(next.asked, 1);
  await settled();
  shown.show(holding(5));
  assert.equal(next.asked, 2);
});

test('what arrives while a viewer takes in is taken in after that', async () => {
  const { Images } = await images();
  let end = null;
  const one = frame(() => new Promise((done) => { end = done; }));
  globalThis.frames = [one];
  const shown = new Images();
  shown.show(holding(1));
  shown.show(holding(2));
  shown.show(holding(4));
  assert.equal(one.asked, 1, 'one after the other');
  end();
  await settled();
  assert.equal(one.asked, 2);
  end();
  await settled();
  assert.deepEqual([shown.objects, one.asked], [4, 2]);
});

test('what comes before the viewer has come to its case waits for it', async () => {
  const [blank, first, second] = [image('OT'), image('CT'), image('CT')];
  const sets = [{ ...set(blank), StudyInstanceUID: '2.25' }];
  let waited = 0;
  const { made, reloaded } = await arrive(sets, [first, second], () => {
    waited += 1;
    // the viewer leaves the image on which it stood ready, and shows what it knows of its case
    if (waited === 3) sets.splice(0, 1, set(first));
  });
  assert.equal(waited, 3);
  assert.deepEqual([sets[0].images, made, reloaded], [[first, second], [], [sets[0]]]);
});

test('a viewer that has stopped on its way is started once more, and none that has come or works', async () => {
  const { Images } = await images();
  const one = frame(async () => {});
  const started = [];
  let stands = { came: false, idle: 9_000 };
  Object.assign(one.contentWindow, { progress: () => stands, location: { replace: (address) => started.push(address) } });
  globalThis.frames = [one];
  new Images().show(holding(1));
  globalThis.tick();
  assert.deepEqual(started, []);
  stands = { came: false, idle: 10_000 };
  globalThis.tick();
  assert.equal(started.length, 1);
  assert.match(started[0], /^\/viewer\/viewer\?StudyInstanceUIDs=1\.2&/);
  assert.equal(globalThis.tick, null, 'once');
  const words = new Images();
  globalThis.frames = [one];
  words.show(holding(1));
  words.show(holding(1));
  assert.equal(started.length, 2, 'and again when the case has changed');
  globalThis.frames = [one];
  const other = new Images();
  other.show(holding(1));
  stands = { came: true, idle: 60_000 };
  globalThis.tick();
  assert.deepEqual([started.length, globalThis.tick], [2, null]);
});
