// The player: starts at the moment, tells what was really watched, and shows what looks alike.

import { api } from "./api.js";
import { why } from "./cards.js";
import { $, clock, element, show } from "./dom.js";
import { event, leave, note } from "./events.js";
import { t } from "./i18n.js";

const TOO_LITTLE = 0.02; // of a video: nothing to speak of
const SIDE = 4;
const TRY_AGAIN_MS = 30_000;
const dialog = $("player");
const video = $("video");
let now = null; // {item, user, kind, told, ended}
let hooks = null;

export const player = {
  /** Hooks: play(item, start_s), address(item, start_s), react(item, kind), similar(item), frame(video, item), closed(), watched(item). */
  setUp(given) {
    hooks = given;
    dialog.addEventListener("close", () => { stop(); hooks.closed(); });
    dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
    $("close").addEventListener("click", () => dialog.close());
    for (const button of $("deeds").querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => now && deed(button.dataset.do));
    }
    video.addEventListener("error", () => { if (now && video.hasAttribute("src") && !again()) cannot(now.item); });
    video.addEventListener("playing", () => { if (now) now.played = true; });
    addEventListener("pagehide", () => tellWatched({ leaving: true }));
    // On phones the page may end without another word once it is hidden.
    document.addEventListener("visibilitychange", () => { if (document.hidden) tellWatched({ leaving: true }); });
  },
  get item() { return now?.item ?? null; },
  get open() { return dialog.open; },

  play(item, from, { user, kind }) {
    stop();
    now = { item, user, kind, told: 0, from };
    draw();
    video.poster = item.links.thumbnail;
    video.setAttribute("crossorigin", "anonymous");
    video.src = item.links.stream + (from ? `#t=${from.toFixed(2)}` : "");
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    video.play().catch(() => {}); // where the browser wants a click first, there are controls
    note(event(user, item, "view", { position_s: from }));
    alike(item);
  },

  close() { if (dialog.open) dialog.close(); },
  redraw() { if (now) draw(); },
  liked() { $("deeds").querySelector('[data-do="like"]').setAttribute("aria-pressed", "true"); },
};

function draw() {
  const { item, kind } = now;
  $("playing").textContent = item.title;
  $("reason").replaceChildren(...why(item, kind, hooks));
  $("download").href = item.links.download;
  $("download").setAttribute("aria-label", t("download.of", item));
  $("unplayable").hidden = true;
  for (const button of $("deeds").querySelectorAll("[aria-pressed]")) {
    button.setAttribute("aria-pressed", String(button.dataset.do === "like" && Boolean(now.liked)));
  }
}

/** Another try where that can help: an object store may not say who may look at its pictures, and its addresses expire. */
function again() {
  const at = video.currentTime || now.from || 0;
  const plain = video.error?.code !== MediaError.MEDIA_ERR_NETWORK && video.hasAttribute("crossorigin") && !now.played;
  const stale = now.played && performance.now() - (now.again ?? -Infinity) > TRY_AGAIN_MS;
  if (!plain && !stale) return false;
  if (plain) video.removeAttribute("crossorigin"); // frames of it cannot be searched for then
  now.again = performance.now();
  video.src = now.item.links.stream + (at ? `#t=${at.toFixed(2)}` : "");
  video.play().catch(() => {});
  return true;
}

function cannot(item) {
  const key = item.status && item.status !== "indexed" ? ".processing" : item.playable === "preparing" ? ".preparing" : "";
  $("unplayable").textContent = t(`unplayable${key}`);
  $("unplayable").hidden = false;
}

function deed(kind) {
  const { item } = now;
  if (kind === "similar") hooks.similar(item);
  else if (kind === "frame") hooks.frame(video, item);
  else {
    if (kind === "like") now.liked = true;
    hooks.react(item, kind);
  }
}

/** Told once for what was watched so far; what is watched after that is told as an event of its own. */
function tellWatched({ leaving = false } = {}) {
  if (!now || !(video.duration > 0)) return false;
  const fraction = playedFraction(video);
  const more = fraction - now.told;
  if (more <= TOO_LITTLE) return false;
  now.told = fraction;
  const told = event(now.user, now.item, "watch", { fraction: Math.min(1, Number(more.toFixed(4))), position_s: Number(video.currentTime.toFixed(3)) });
  leave(told);
  if (!leaving) hooks.watched(now.item);
  return true;
}

/** The part of the video that was played, each second counted once: what was sought over is not in it. */
export function playedFraction({ played, duration }) {
  let sum = 0;
  for (let i = 0; i < played.length; i += 1) sum += played.end(i) - played.start(i);
  return Math.min(1, sum / duration);
}

function stop() {
  if (!now) return;
  tellWatched();
  now = null;
  video.pause();
  video.removeAttribute("src");
  video.load();
  $("next").hidden = true;
  $("next-list").replaceChildren();
}

async function alike(item) {
  let items = [];
  try { ({ items } = await api.similar(item.id, SIDE)); } catch { return; } // a help, not the matter
  if (now?.item.id !== item.id) return;
  $("next-list").replaceChildren(...items.map((other) => row(other)));
  $("next").hidden = !items.length;
}

function row(other) {
  const from = other.why.moment?.start_s ?? 0;
  const image = element("img", { alt: "", loading: "lazy" });
  show(image, other.why.moment?.picture ?? other.links.thumbnail);
  const button = element("button", { type: "button", className: "row-play" }, image,
    element("span", { className: "row-text" }, element("b", { text: other.title }), element("span", { text: clock(from) })));
  button.setAttribute("aria-label", t("play.from", { title: other.title, time: clock(from) }));
  button.addEventListener("click", () => hooks.play(other, from));
  return element("li", {}, button);
}
