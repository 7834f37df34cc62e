// Reads what hmrlab/viewer/packing.py writes: a header's length, the header (JSON), and all arrays
// behind one another, compressed by zlib.

const KINDS = { f4: Float32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array };

export async function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const data = await inflate(bytes.subarray(start));
  const arrays = {};
  for (const { name, kind, length, at, delta, steps } of header.arrays) {
    const values = new KINDS[kind](data, at, length);
    if (delta) undoDifferences(values, delta);
    arrays[name] = steps ? { values, steps } : values;
  }
  return { ...header.facts, ...arrays };
}

async function inflate(bytes) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old to unpack a body (it has no DecompressionStream)");
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// Rows of `length` numbers hold differences; whole numbers wrap round as they did when written.
function undoDifferences(values, length) {
  for (let row = 0; row < values.length; row += length) {
    for (let k = row + 1; k < row + length; k++) values[k] += values[k - 1];
  }
}

export function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = binary.charCodeAt(k);
  return bytes;
}
