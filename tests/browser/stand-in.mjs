// A stand-in for the gateway: the same pages, and an /api/v1 held in memory whose misfortunes a test can order. For the pages' own
// behaviour in states that are hard to bring about with a real gateway; what the real one answers is tested by reading.mjs.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '../../gateway/web');
const TYPES = { js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml' };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLES = { room: ['worklist', 'case'] };
const shell = (module) => `<!DOCTYPE html><html lang="en" data-theme="dark"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Causeway</title>
<link rel="icon" type="image/svg+xml" href="/web/mark.svg"><link rel="stylesheet" href="/web/style/base.css">${(STYLES[module] ?? [module]).map((style) => `<link rel="stylesheet" href="/web/style/${style}.css">`).join('')}
<script src="/web/theme.js"></script><script type="module" src="/web/${module}.js"></script></head><body data-page="${module}"></body></html>`;

/** Stands where the viewer stands: says which studies it was opened on, takes its case later, and asks for nothing. */
const VIEWER = `<!DOCTYPE html><title>viewer</title><body style="margin:0;background:#000;color:#667;font:20px sans-serif;display:grid;place-items:center;height:100vh"><p></p><script>
  const say = () => { document.querySelector('p').textContent = 'the viewer stands here: ' + (new URLSearchParams(location.search).get('case') ?? 'no case'); };
  window.started = Math.random();
  window.silentFor = () => 60000;
  window.goTo = (address, unseen) => { window.unseen = unseen; if (location.pathname + location.search !== address) { if (location.search) throw new Error('one case'); history.replaceState(null, '', address); say(); } };
  say();
</script>`;

const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const SITES = {
  naxos: { id: 's1', name: 'Naxos General Hospital', country: 'GR', time_zone: 'Europe/Athens', utc_offset: '+02:00', language: 'el', phone: '+30 22853 60500' },
  reykjavik: { id: 's2', name: 'Landspítali Fossvogur', country: 'IS', time_zone: 'Atlantic/Reykjavik', utc_offset: '+00:00', language: 'is', phone: '+354 543 1000' },
  kuressaare: { id: 's3', name: 'Kuressaare Haigla', country: 'EE', time_zone: 'Europe/Tallinn', utc_offset: '+02:00', language: 'et', phone: '+372 452 0001' },
};

function makeCase(number, code, site, priority, minutes, study, more = {}) {
  const uid = `1.2.826.0.1.3680043.10.${number}`;
  return {
    case: `c${number}`, code, site: SITES[site], priority, waiting_since: ago(minutes), workitem: `2.25.${number}`, state: 'SCHEDULED', readiness: 'READY', holder: null,
    patient: { name: `CW3F4H7K9MNP${number}`, id: `CW3F4H7K9MNP${number}`, sex: study.sex, birth_date: '', age: study.age }, mode: 'pseudonymous', established: true, blocked: null,
    studies: [{ uid, role: 'current', date: '20261121', time: '203100', accession: `A${number}`, manifest_version: 1, sealed_at: ago(minutes - 2), withheld: [], remarks: [], ...study, series: study.series ?? [
      { uid: `${uid}.1`, number: 1, modality: study.modalities[0], description: 'Scout', class: '1.2.840.10008.5.1.4.1.1.2', class_name: 'CT Image', instances: 1, shown: 'viewer', reason: '' },
      { uid: `${uid}.2`, number: 2, modality: study.modalities[0], description: 'Axial 5 mm', class: '1.2.840.10008.5.1.4.1.1.2', class_name: 'CT Image', instances: 60, shown: 'viewer', reason: '' },
    ] }],
    arriving: { at_site: 61, held: 0, here: 61 }, draft: null, reports: [], ...more,
  };
}

function cases() {
  const prior = { uid: '1.2.826.0.1.3680043.10.900', role: 'prior', description: 'CT head', date: '20250314', time: '092800', modalities: ['CT'], body_part: 'HEAD', accession: 'A900', sealed_at: ago(30), withheld: [],
    series: [{ uid: '1.2.826.0.1.3680043.10.900.1', number: 2, modality: 'CT', description: 'Axial', class: '1', class_name: 'CT Image', instances: 28, shown: 'viewer', reason: '' }] };
  const head = makeCase(1, 'K7MQ4TXN', 'naxos', 'stat', 4, { description: 'CT head without contrast', modalities: ['CT'], body_part: 'HEAD', age: '061Y', sex: 'F' }, { readiness: 'INCOMPLETE', arriving: { at_site: 61, held: 0, here: 12 } });
  const stroke = makeCase(2, 'R3WD9HFC', 'kuressaare', 'urgent', 23, { description: 'CT head and CT angiography', modalities: ['CT'], body_part: 'HEAD', age: '078Y', sex: 'M' });
  stroke.studies[0].series.push(
    { uid: 'x3', number: 601, modality: 'SR', description: 'Dose report', class: '1', class_name: 'X-Ray Radiation Dose SR', instances: 1, shown: 'readable', reason: '' },
    { uid: 'x4', number: 700, modality: 'PR', description: '', class: '1', class_name: 'Grayscale Softcopy Presentation State', instances: 2, shown: 'not-shown', reason: 'presentation state' });
  stroke.studies[0].withheld = [{ modality: 'CT', class: 'Secondary Capture Image', count: 1, reason: 'identity may be burned in' }];
  stroke.studies[0].remarks = ['1 overlay removed at the site', '2 images masked at the site'];
  stroke.studies.push(prior);
  stroke.context = [{ study: stroke.studies[0].uid, question: 'Sudden left-sided weakness at 20:10. Bleeding? Occlusion of a large vessel?', renal: '78 µmol/l', renal_date: '21 Nov', allergy: 'none known', call_role: 'Emergency physician', call_number: '+372 452 0003' }];
  stroke.letters = [{ id: 'l1', from: 'site', who: 'radiographer', mine: false, text: 'The second series has moved; it is repeated now.', written: ago(9), state: 'new', read: null }];
  stroke.request_text = { description: 'CT head and CT angiography', reason: 'FAST positive', referrer: 'Emergency department' };
  return [
    head, stroke,
    makeCase(3, '4HPX7KQA', 'reykjavik', 'routine', 131, { description: 'Chest, two views', modalities: ['DX'], body_part: 'CHEST', age: '034Y', sex: 'F' }, { mode: 'identified', patient: { name: 'TEST^PHANTOM', id: 'P-3', sex: 'F', birth_date: '19920305', age: '034Y' } }),
    makeCase(4, 'W9FT3MCE', 'naxos', 'unstated', 58, { description: 'Left tibia', modalities: ['CR'], body_part: 'EXTREMITY', age: '009Y', sex: 'M' }, { established: false }),
    makeCase(5, 'D6QN4RHY', 'naxos', 'urgent', 47, { description: 'Abdomen ultrasound, stored loops', modalities: ['US'], body_part: 'ABDOMEN', age: '045Y', sex: 'F' }, { state: 'IN PROGRESS', holder: { name: 'Dr. Aino Tamm', mine: false, since: ago(12) } }),
    makeCase(6, 'T4CK9XWP', 'kuressaare', 'routine', 90, { description: 'MR lumbar spine', modalities: ['MR'], body_part: 'LSPINE', age: '052Y', sex: 'M' }, { state: 'IN PROGRESS', holder: { name: 'Dr. Sample Reader', mine: true, since: ago(3) } }),
  ];
}

/** Starts it on a free port. Answers { url, state, close }; `state.orders` decides misfortunes. */
export async function standIn() {
  const state = { cases: cases(), signedIn: false, keyLocked: false, orders: {}, seen: [], events: new Set(), identity: 1 };
  const changed = (id) => state.events.forEach((to) => to.write(`event: worklist\ndata: {}\n\nevent: case\ndata: {"case":"${id}"}\n\n`));
  const account = () => ({ id: 'a1', user: 'reader', name: 'Sample Reader', title: 'Dr.', organisation: 'Night Reading Ltd', country: 'EE', roles: ['reader', 'verifier', 'operator'], signing_key: { state: state.keyLocked ? 'locked' : 'unlocked', until: ago(-30) } });
  const find = (key, value) => state.cases.find((one) => one[key] === value);
  const report = (one) => one.reports.at(-1);

  const listed = (one) => ({
    workitem: one.workitem, case: one.case, code: one.code, state: one.state, readiness: one.readiness, priority: one.priority, claimed_by: one.holder, reserved: one.state === 'SCHEDULED' ? one.reserved ?? null : null, waiting_since: one.waiting_since, site: one.site, patient: one.patient,
    identity: { mode: one.mode, established: one.established }, blocked: one.blocked, question: one.context?.[0]?.question ?? null, unread: (one.letters ?? []).filter((letter) => letter.state === 'new').length,
    studies: one.studies.filter((study) => study.role === 'current').map(({ uid, date, time, description, modalities, body_part }) => ({ uid, date, time, description, modalities, body_part, instances: 61 })),
    arriving: one.arriving, priors: one.studies.filter((study) => study.role === 'prior').length, report: report(one) ? { status: report(one).status, delivery: report(one).delivery.state } : null,
  });
  const full = (one) => {
    const writes = one.state === 'IN PROGRESS' && one.holder?.mine;
    return {
      case: one.case, code: one.code, workitem: { uid: one.workitem, state: one.state, readiness: one.readiness, claimed_by: one.holder, ...(writes ? { transaction_uid: '2.25.7' } : {}) }, site: one.site, patient: one.patient,
      identity: { mode: one.mode, established: one.established, version: state.identity, sentence: one.established ? '' : 'identity not established at the site' }, blocked: one.blocked, priority: one.priority, context: one.context ?? [], letters: one.letters ?? [], request_text: one.request_text ?? { description: one.studies[0].description }, studies: one.studies, arriving: one.arriving,
      viewer_url: `/viewer/viewer?${one.studies.map((study) => `StudyInstanceUIDs=${study.uid}`).join('&')}`, draft: one.draft, reports: one.reports,
      may: { claim: one.state === 'SCHEDULED', put_back: writes, write: writes, sign_preliminary: writes && !one.blocked, sign_final: writes && !one.blocked, correct: !writes && one.reports.length > 0, reasons: writes && one.readiness !== 'READY' ? ['images are still arriving: signing final needs a reason'] : [] },
    };
  };

  async function answer(method, path, body, headers) {
    const say = (status, data = null, more = {}) => ({ status, data, more });
    const problem = (status, type, detail, more = {}) => say(status, { type: `urn:causeway:${type}`, title: type, status, detail, ...more });
    const [, part, id, act] = path.split('/');
    if (part === 'session' && method === 'POST') {
      if (body.password !== 'correct horse') return problem(401, 'wrong', 'The name or the password is not right.');
      state.signedIn = true;
      return say(200, { account: account() });
    }
    if (!state.signedIn) return problem(401, 'signed-out', 'Sign in.');
    if (method !== 'GET' && headers['x-causeway'] !== '1') return problem(403, 'cross-site', 'This did not come from our page.');
    if (part === 'session') { state.signedIn = false; return say(204); }
    if (part === 'me') return say(200, account());
    if (part === 'signing-key') {
      if (body.password !== 'correct horse') return problem(403, 'wrong', 'That is not the password.');
      state.keyLocked = false;
      return say(200, { until: ago(-30) });
    }
    if (part === 'worklist') return say(200, { now: new Date().toISOString(), items: state.cases.map(listed) });
    if (part === 'workitems') {
      const one = find('workitem', id);
      if (!one) return problem(404, 'not-found', 'No such workitem.');
      if (act === 'claim') {
        if (one.state !== 'SCHEDULED' || state.orders.claimConflict) return problem(409, 'claimed', 'It is claimed.', { holder: { name: 'Dr. Aino Tamm' }, since: ago(1) });
        if (one.reserved && !one.reserved.mine) return problem(409, 'reserved', 'It is reserved.', { holder: one.reserved.name, until: one.reserved.until });
        Object.assign(one, { state: 'IN PROGRESS', holder: { name: 'Dr. Sample Reader', mine: true, since: ago(0) } });
      }
      if (act === 'reserve') {
        if (one.state !== 'SCHEDULED' || (one.reserved && !one.reserved.mine)) return problem(409, 'reserved', 'It is reserved.', { holder: one.reserved?.name ?? 'Dr. Aino Tamm', until: ago(-2) });
        state.cases.forEach((other) => { if (other.reserved?.mine) other.reserved = null; });
        one.reserved = { name: 'Dr. Sample Reader', mine: true, until: ago(-2) };
      }
      if (act === 'put-back') Object.assign(one, { state: 'SCHEDULED', holder: null });
      changed(one.case);
      return say(200, { transaction_uid: '2.25.7', case: one.case });
    }
    if (part === 'reports') return say(200, state.cases.flatMap((one) => one.reports).find((one) => one.id === id));
    const one = part === 'cases' && find('case', id);
    if (!one) return problem(404, 'not-found', 'There is no such case.');
    if (!act) return say(200, full(one), { ETag: `"${JSON.stringify(one).length}"` });
    if (act === 'letters' && method === 'POST') {
      one.letters ??= [];
      for (const letter of one.letters) if (letter.state === 'new') letter.state = 'read';
      if (path.endsWith('/read')) { changed(one.case); return say(204); }
      one.letters.push({ id: `l${one.letters.length + 1}`, from: 'reader', who: 'Dr. Sample Reader', mine: true, text: body.text, written: ago(0), state: 'sent', read: null });
      changed(one.case);
      return say(201, { letter: one.letters.at(-1).id });
    }
    if (act === 'readable') return say(200, 'CT dose report\n  CTDIvol 48.2 mGy\n  DLP 812 mGy·cm');
    if (act === 'draft') {
      if (method === 'GET') return say(200, one.draft ?? { version: null, content: {} });
      const known = headers['if-none-match'] === '*' ? null : Number(String(headers['if-match'] ?? '').replaceAll('"', ''));
      if (known !== (one.draft?.version ?? null)) return problem(412, 'stale', 'The draft was changed meanwhile.');
      one.draft = { version: (one.draft?.version ?? 0) + 1, content: body };
      return say(200, { version: one.draft.version });
    }
    const versions = () => ({ draft_version: one.draft?.version, manifest_version: `m${one.arriving.here}`, identity_version: `i${state.identity}` });
    if (act === 'preview') {
      const why = body.override_reason ? `<p class="notice">Complete by: ${body.override_reason}</p>` : '';
      const sections = Object.entries(one.draft?.content ?? {}).filter(([name, text]) => name !== 'language' && text);
      const safe = (text) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);
      return say(200, { ...versions(), text: '', warnings: state.orders.warnings ?? [], html: `<script>bad()</script><h2>${one.code}, ${body.status}</h2>${why}${sections.map(([name, text]) => `<h3 onclick="bad()">${name}</h3><p>${safe(text)}</p>`).join('')}<footer>Dr. Sample Reader, radiologist, EE-12345, Night Reading Ltd</footer>` });
    }
    if (act === 'sign') {
      if (one.blocked) return problem(409, 'blocked-by-site', `the site lets nothing be signed now: ${one.blocked}`, { blocked: one.blocked });
      if (body.status === 'final' && one.readiness !== 'READY' && !body.override_reason) return problem(409, 'incomplete', 'Images are still arriving.');
      if (state.keyLocked) return problem(401, 'signing-key-locked', 'Your signing key is locked.');
      const fresh = versions();
      for (const name of Object.keys(fresh)) if (fresh[name] !== body[name]) return problem(name === 'identity_version' ? 409 : 412, name === 'identity_version' ? 'identity-changed' : 'stale', name === 'identity_version' ? 'The site corrected age or sex.' : 'More images came.');
      one.reports.push({ id: `r${one.reports.length + 1}`, version: one.reports.length + 1, status: body.status, signed_at: ago(0), signed_by: { title: 'Dr.', name: 'Sample Reader' }, content: one.draft.content, override: body.override_reason ?? '', withdrawn: false, delivery: { state: 'waiting', sentence: 'Signed; on its way to the site.', forms: [] } });
      one.state = 'COMPLETED';
      one.draft = null;
      const signed = report(one);
      setTimeout(() => { signed.delivery = { state: 'at-site', sentence: 'At the site, on its way into the PACS.', forms: [{ destination: 'pacs', form: 'sr', state: 'waiting', sentence: '', since: ago(0) }] }; changed(one.case); }, 400);
      setTimeout(() => { signed.delivery = { state: 'delivered', sentence: 'In the PACS.', forms: [{ destination: 'pacs', form: 'sr', state: 'delivered', sentence: 'in the PACS', since: ago(0) }] }; changed(one.case); }, 900);
      changed(one.case);
      return say(201, { report: signed.id, version: signed.version });
    }
    if (act === 'correct') { Object.assign(one, { state: 'IN PROGRESS' }); changed(one.case); return say(200, { version: one.draft?.version }); }
    return problem(404, 'not-found', 'No such thing.');
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://x');
    const end = (status, type, bytes, more = {}) => response.writeHead(status, { 'Content-Type': type, 'Content-Security-Policy': POLICY, 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cache-Control': 'no-store', ...more }).end(bytes);
    if (state.orders.down) return request.socket.destroy();
    if (url.pathname.startsWith('/web/')) {
      const name = normalize(url.pathname.slice(5));
      try {
        return end(200, TYPES[name.split('.').pop()] ?? 'application/octet-stream', readFileSync(join(WEB, name)));
      } catch {
        return end(404, 'text/plain', 'no such file');
      }
    }
    if (url.pathname.startsWith('/viewer/')) return end(200, 'text/html', VIEWER, { 'Content-Security-Policy': "default-src 'self' 'unsafe-inline'" });
    if (url.pathname === '/dicomweb' || url.pathname.startsWith('/dicomweb/')) return end(200, 'application/dicom+json', JSON.stringify([{ '00080018': { vr: 'UI', Value: ['1.2.3'] } }]));
    if (url.pathname === '/api/v1/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' }).write(':\n\n');
      state.events.add(response);
      request.on('close', () => state.events.delete(response));
      return undefined;
    }
    if (url.pathname.startsWith('/api/v1/')) {
      let raw = '';
      for await (const part of request) raw += part;
      const path = url.pathname.slice('/api/v1'.length);
      state.seen.push(`${request.method} ${path}${request.headers['x-causeway-ahead'] ? ' ahead' : ''}`);
      if (state.orders.slow) await new Promise((resolve) => { setTimeout(resolve, state.orders.slow); });
      const { status, data, more } = await answer(request.method, path, raw ? JSON.parse(raw) : {}, request.headers);
      return end(status, status >= 400 ? 'application/problem+json' : typeof data === 'string' ? 'text/plain' : 'application/json', data === null ? '' : typeof data === 'string' ? data : JSON.stringify(data), more);
    }
    const module = { '/': 'room', '/sign-in': 'sign-in', '/admin': 'admin' }[url.pathname] ?? (/^\/case\/[^/]+\/images$/.test(url.pathname) ? 'images' : /^\/case\/[^/]+$/.test(url.pathname) ? 'room' : null);
    return module ? end(200, 'text/html; charset=utf-8', shell(module)) : end(404, 'text/plain', 'no such page');
  });
  await new Promise((resolve) => { server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', resolve); });
  const close = () => new Promise((resolve) => {
    server.closeAllConnections();
    server.close(resolve);
  });
  return { url: `http://127.0.0.1:${server.address().port}`, state, changed, close };
}
