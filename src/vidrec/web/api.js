// What the pages ask of the API. Every failure is a Refused whose message a person can read.

import { t } from "./i18n.js";

const PATIENCE_MS = 30_000;

export class Refused extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

const WORDS = { 404: "error.gone", 413: "error.large", 429: "error.busy", 502: "error.busy", 503: "error.busy", 504: "error.busy" };

let signIn = null;

/** `again()` resolves when somebody is signed in: what was refused for want of that is asked once more. */
export function onSignedOut(again) {
  signIn = again;
}

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  } catch (error) {
    throw new Refused(t(error.name === "TimeoutError" ? "error.slow" : "error.offline"));
  }
  if (response.status === 401 && signIn && path !== "/session") {
    await signIn();
    return ask(path, options);
  }
  if (response.status === 204) return {};
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const known = WORDS[response.status];
  throw new Refused(known ? t(known) : body?.detail ?? `${t("error.busy")} (${response.status})`, response.status);
}

/** The sentence for whatever was thrown. */
export function sentence(error) {
  if (error instanceof Refused) return error.message;
  console.error(error);
  return t("error.page");
}

const query = (path, values) => {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
};
const video = (id) => `/videos/${encodeURIComponent(id)}`;

const json = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const api = {
  session: () => ask("/session"),
  signIn: (key) => ask("/session", json({ key })),
  signOut: () => ask("/session", { method: "DELETE" }),
  recommend: (userid, n, cursor = null) => ask(query("/recommend", { userid, n, cursor })),
  similar: (id, n) => ask(query(`${video(id)}/similar`, { n })),
  video: (id) => ask(video(id)),
  videos: (values) => ask(query("/videos", values)),
  async picture(blob, n) {
    try {
      return await ask(query("/search/image", { n }), { method: "POST", headers: { "Content-Type": blob.type || "image/jpeg" }, body: blob });
    } catch (error) {
      if (error.status === 415 || error.status === 422) throw new Refused(t("error.picture"), error.status);
      throw error;
    }
  },
};
