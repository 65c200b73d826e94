// The kept log of a run that has ended: read in parts by byte offset, cut at line ends.

// Small enough that the lines of one are counted within a frame.
const PART_BYTES = 256 * 1024;
const INDEX_RECORD = 16;
const WORKER_PREFIX = new TextEncoder().encode("[worker:");
const STDERR_PREFIX = new TextEncoder().encode("[worker:error] ");

export class LogUnavailable extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Reads the log at `path` (with its query) into `lines`, to its end. `index`: where the sources of its lines are. */
export async function readKept(lines, path, index, signal) {
  const sourceOf = await sources(index, signal);
  lines.fetch = async (start, end) => (await part(path, start, end, signal)).bytes;
  let [start, wanted] = [0, PART_BYTES];
  for (;;) {
    const { bytes, size } = await part(path, start, start + wanted, signal);
    const last = start + bytes.length >= size;
    const end = last ? bytes.length : bytes.lastIndexOf(10) + 1;
    if (end === 0 && !last) {
      wanted *= 2; // one line that is longer than that
      continue;
    }
    if (end) lines.appendBytes(end === bytes.length ? bytes : bytes.slice(0, end), start, sourceOf);
    lines.onchange();
    if (last) return;
    start += end;
    wanted = PART_BYTES;
  }
}

async function part(path, start, end, signal) {
  const response = await fetch(path, { headers: { Range: `bytes=${start}-${end - 1}` }, signal });
  if (response.status === 416) return { bytes: new Uint8Array(), size: start };
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new LogUnavailable(response.status, problem.message ?? `the server answered ${response.status}`);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  const size = Number(/\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1] ?? bytes.length);
  return { bytes, size };
}

/** By the log's index; without one by the prefix that the worker puts before lines of stderr and its own. */
async function sources(path, signal) {
  const response = await fetch(path, { signal });
  const view = response.ok ? new DataView(await response.arrayBuffer()) : new DataView(new ArrayBuffer(0));
  const records = Math.floor(view.byteLength / INDEX_RECORD);
  let [record, end] = [0, 0];
  return (offset, bytes, at) => {
    while (record < records && end <= offset) {
      end += view.getUint32(record * INDEX_RECORD + 8, true);
      record += 1;
    }
    if (end > offset) return Math.min(2, view.getUint8((record - 1) * INDEX_RECORD + 12));
    if (begins(bytes, at, STDERR_PREFIX)) return 1;
    return begins(bytes, at, WORKER_PREFIX) ? 2 : 0;
  };
}

function begins(bytes, at, prefix) {
  return bytes[at] === prefix[0] && prefix.every((byte, number) => bytes[at + number] === byte);
}
