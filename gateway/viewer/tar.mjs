// Reads and writes the plain tar format (POSIX ustar), as far as an npm package and our own archive need it.

const BLOCK = 512;

const text = (block, from, length) => {
  const bytes = block.subarray(from, from + length);
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end < 0 ? length : end).toString('utf8');
};

/** The regular files of a tar, as [name, bytes]. */
export function* read(tar) {
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return;
    const size = parseInt(text(header, 124, 12).trim(), 8) || 0;
    const kind = text(header, 156, 1) || '0';
    const prefix = text(header, 345, 155);
    const name = (prefix ? prefix + '/' : '') + text(header, 0, 100);
    at += BLOCK;
    if (kind === '0') yield [name, tar.subarray(at, at + size)];
    else if (kind === 'L' || kind === 'x') throw new Error(`${name}: names over 255 bytes are not read`);
    at += Math.ceil(size / BLOCK) * BLOCK;
  }
}

/** One tar of the given [name, bytes], equal bytes for equal input: no times, no owners. */
export function write(files) {
  const parts = [];
  for (const [name, bytes] of files) {
    if (Buffer.byteLength(name) > 100) throw new Error(`${name}: longer than 100 bytes`);
    const header = Buffer.alloc(BLOCK);
    header.write(name, 0);
    header.write('0000644\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(bytes.length.toString(8).padStart(11, '0') + '\0', 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write('0', 156);
    header.write('ustar\u000000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(sum.toString(8).padStart(6, '0') + '\0 ', 148);
    parts.push(header, bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}
