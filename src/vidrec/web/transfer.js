// One file's way to the store: one PUT, or parts of it side by side. What broke off goes on where it was.

import { ask, Refused } from "./api.js";
import { t } from "./i18n.js";

const LARGE = 64 * 2 ** 20; // from here in parts, so that a cut costs one part
const AT_ONCE = 3;
const TRIES = 4;
const WAIT_MS = [1000, 3000, 8000];

/** Sends the file. `seen(bytes)` is told how much is there, `waits(seconds)` that it tries again. Answers
 * {video_id, status_url}. `kept` holds what a later try goes on from. AbortError where `signal` says so. */
export function send(file, { bucket, kept, signal, seen, waits }) {
  return file.size >= LARGE ? inParts(file, { bucket, kept, signal, seen, waits }) : whole(file, { bucket, signal, seen, waits });
}

async function whole(file, { bucket, signal, seen, waits }) {
  // Each try has a URL of its own: one that may have stored something is not used again.
  return again(async () => {
    const query = new URLSearchParams({ filename: file.name, size: file.size, if_none_match: "*" });
    const target = await ask(`/presigned_for_upload/upload/${bucket}?${query}`, { signal });
    await put(target.PresignedURL, target, file, { signal, seen });
    return target;
  }, { signal, waits });
}

async function inParts(file, { bucket, kept, signal, seen, waits }) {
  kept.upload ??= await post("/uploads", { bucket, filename: file.name, size: file.size }, signal);
  kept.there ??= new Set();
  const { upload_id: id, part_size: size } = kept.upload;
  const sent = new Map();
  const bytes = (number) => Math.min(size, file.size - (number - 1) * size);
  const told = () => seen([...kept.there].reduce((sum, n) => sum + bytes(n), 0) + [...sent.values()].reduce((a, b) => a + b, 0));
  const left = Array.from({ length: Math.ceil(file.size / size) }, (_, i) => i + 1).filter((n) => !kept.there.has(n));
  told();
  const worker = async () => {
    for (let number = left.shift(); number; number = left.shift()) {
      await again(async () => {
        const { parts: [part] } = await post(`/uploads/${id}/parts`, { numbers: [number] }, signal);
        const blob = file.slice((number - 1) * size, (number - 1) * size + bytes(number));
        await put(part.url, part, blob, { signal, seen: (n) => { sent.set(number, n); told(); } });
      }, { signal, waits });
      sent.delete(number);
      kept.there.add(number);
      told();
    }
  };
  const all = Array.from({ length: AT_ONCE }, () => worker().catch((error) => {
    left.length = 0; // what the others are sending now still counts
    throw error;
  }));
  const failed = (await Promise.allSettled(all)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return again(() => post(`/uploads/${id}/complete`, {}, signal), { signal, waits });
}

const post = (path, body, signal) => ask(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
});

/** What the network broke is tried again; what the server refused is not. */
async function again(attempt, { signal, waits }) {
  for (let i = 0; ; i += 1) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      const passing = error instanceof Refused && (error.status === 0 || error.status === 429 || error.status >= 500);
      if (signal.aborted || !passing || i >= TRIES - 1) throw signal.aborted ? signal.reason : error;
      waits(WAIT_MS[i] / 1000);
      await new Promise((done) => { setTimeout(done, WAIT_MS[i]); });
    }
  }
}

/** XMLHttpRequest, since fetch does not tell how much was sent. */
function put(url, { method = "PUT", headers = {} }, body, { signal, seen }) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    // The browser sets these itself and lets nobody else.
    for (const [name, value] of Object.entries(headers)) if (!/^(content-length|host)$/i.test(name)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (e) => seen(e.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) done();
      else fail(refusal(request));
    });
    request.addEventListener("error", () => fail(new Refused(t("up.broken"))));
    request.addEventListener("abort", () => fail(signal.reason));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

function refusal({ status, responseText }) {
  if (status === 412) return new Refused(t("up.repeated"), status);
  try {
    const { detail } = JSON.parse(responseText);
    if (detail) return new Refused(detail, status);
  } catch { /* an S3 answers XML */ }
  return new Refused(status === 413 ? t("error.large") : t("up.refused", { status }), status);
}
