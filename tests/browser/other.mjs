// The same packaged viewer before another DICOMweb server: node other.mjs <ohif.tar> <app-config.js> <http://host:port> <path of DICOMweb>
// Serves the viewer's files as the gateway does, passes on what is asked below the path, and prints its own address.

import { readFileSync } from 'node:fs';
import http from 'node:http';

import { read } from '../../gateway/viewer/tar.mjs';

const [archive, configuration, server, root] = process.argv.slice(2);
const files = new Map([...read(readFileSync(archive))].map(([name, bytes]) => [name, Buffer.from(bytes)]));
// what the other server does not speak of is left out: the case in the address, and frames coded on the way
const config = readFileSync(configuration, 'utf8')
  .replace(/const root = \(\) => \{[^]*?\n\};/, `const root = () => '${root}';`)
  .replace(/^\s*acceptHeader:.*$/m, '');
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', wasm: 'application/wasm', json: 'application/json', svg: 'image/svg+xml', png: 'image/png', woff2: 'font/woff2' };
const always = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin' };
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

function pass(request, response) {
  const { hostname, port } = new URL(server);
  const onward = http.request({ agent, hostname, port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
    response.writeHead(answer.statusCode, { ...answer.headers, ...always });
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}

const here = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://here');
  if (pathname.startsWith(root)) {
    pass(request, response);
    return;
  }
  const name = pathname.replace(/^\/viewer\//, '');
  const end = (bytes, more) => response.writeHead(200, { 'Content-Length': bytes.length, ...always, ...more }).end(bytes);
  const type = { 'Content-Type': types[name.split('.').pop()] ?? 'application/octet-stream' };
  const hashed = name.split('.').some((part) => /^[0-9a-f]{20}$/.test(part));
  const keep = { 'Cache-Control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache' };
  if (name === 'app-config.js') end(Buffer.from(config), { ...type, 'Cache-Control': 'no-store' });
  else if (name === 'viewer') end(files.get('files/index.html'), { 'Content-Type': types.html, 'Cache-Control': 'no-cache' });
  else if (files.has(`files/${name}.gz`)) end(files.get(`files/${name}.gz`), { ...type, ...keep, 'Content-Encoding': 'gzip' });
  else if (files.has(`files/${name}`)) end(files.get(`files/${name}`), { ...type, ...keep });
  else response.writeHead(404, always).end();
});
here.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${here.address().port}`));
