// Tells the API what the viewer did. Small things wait for each other; what is told on leaving goes as a beacon.

import { uuid } from "./dom.js";

const WAIT_MS = 1200;
const MOST = 500;
const session = uuid();
const waiting = [];
let timer = 0;

/** An event of POST /events about an item of an answer. */
export function event(user, item, type, more = {}) {
  const told = { user_id: user, video_id: item.id, type, event_id: uuid(), session_id: session, ...more };
  if (item.recommendation) told.recommendation_id = item.recommendation;
  return told;
}

/** Told now; rejects where it was not taken. */
export async function tell(...events) {
  const response = await post(events);
  if (!response.ok) throw new Error(`events: ${response.status}`);
}

/** Told soon, together with others; tried again while the server does not answer. */
export function note(told) {
  waiting.push(told);
  timer ||= setTimeout(flush, WAIT_MS);
}

/** Told although the page may be gone the next moment. */
export function leave(...events) {
  const all = [...waiting.splice(0), ...events];
  if (!all.length) return;
  const body = new Blob([JSON.stringify(all)], { type: "application/json" });
  if (!navigator.sendBeacon?.("/events", body)) post(all, { keepalive: true }).catch(() => {});
}

async function flush() {
  timer = 0;
  const sent = waiting.splice(0);
  if (!sent.length) return;
  try {
    const response = await post(sent);
    if (response.status >= 500 || response.status === 429 || response.status === 401) throw new Error("later");
  } catch {
    // Telling twice is telling once: the ids stay the same.
    waiting.unshift(...sent.slice(0, MOST - waiting.length));
    timer ||= setTimeout(flush, 10 * WAIT_MS);
  }
}

function post(events, options = {}) {
  return fetch("/events", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(events), ...options,
  });
}

addEventListener("pagehide", () => leave());
document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); });
