// One video of a list: its picture, why it is here, and what can be done with it.

import { $, clock, element, show } from "./dom.js";
import { parts, t } from "./i18n.js";
import { previewOnHover } from "./preview.js";

export const start = (item) => item.why?.moment?.start_s ?? 0;

/** `deeds`: play(item, start_s), address(item, start_s), react(item, kind), similar(item). `kind`: what list it is of. */
export function card(item, kind, deeds) {
  const node = $("card").content.firstElementChild.cloneNode(true);
  const play = node.querySelector(".play");
  const from = start(item);
  node.dataset.id = item.id;
  node.querySelector(".title").textContent = item.title;
  node.querySelector(".title").id = `title-${item.id}`;
  node.setAttribute("aria-labelledby", `title-${item.id}`);
  show(node.querySelector(".still"), item.links.thumbnail);
  const length = item.duration_s ? ` (${clock(item.duration_s)})` : "";
  play.setAttribute("aria-label", (from ? t("play.from", { title: item.title, time: clock(from) }) : t("play", item)) + length);
  play.addEventListener("click", () => deeds.play(item, from));
  node.querySelector(".length").textContent = item.duration_s ? clock(item.duration_s) : "";
  node.querySelector(".at").textContent = from ? `▶ ${clock(from)}` : "";
  previewOnHover(play, item);
  node.querySelector(".why").append(...why(item, kind, deeds));
  for (const button of node.querySelectorAll("[data-do]")) {
    const deed = button.dataset.do;
    button.setAttribute("aria-label", t(`${deed}.of`, item));
    button.title = t(deed);
    if (deed === "download") button.href = item.links.download;
    else button.addEventListener("click", () => (deed === "similar" ? deeds.similar(item) : deeds.react(item, deed)));
  }
  const state = unready(item);
  if (state) badge(node, state, item.status === "failed" ? "bad" : "");
  play.disabled = item.status === "uploading" || item.status === "failed";
  return node;
}

/** What keeps a video from being watched or recommended, as the key of a badge. */
function unready(item) {
  if (item.status && item.status !== "indexed") return item.status;
  return item.playable === "preparing" || item.playable === "no" ? item.playable : null;
}

export function badge(node, state, className = "") {
  const shown = node.querySelector(".badge");
  shown.textContent = t(`badge.${state}`);
  shown.className = `badge ${className}`;
  shown.hidden = false;
}

/** Shows that the viewer liked or watched it, where it stands in the list. */
export function mark(node, state) {
  badge(node, state, "good");
  if (state === "liked") node.querySelector('[data-do="like"]').setAttribute("aria-pressed", "true");
}

/** The reason: both moments side by side, and a sentence. */
export function why(item, kind, deeds) {
  const { watched, moment } = item.why ?? {};
  const text = element("p", {}, ...reason(item, kind, deeds));
  if (!watched?.moment || !moment) return [text];
  const pair = $("moments").content.firstElementChild.cloneNode(true);
  const sides = [[watched.moment, t(kind === "similar" ? "moment.asked" : "moment.watched")], [moment, t("moment.this")]];
  pair.setAttribute("role", "group");
  pair.setAttribute("aria-label", t("moment.pictures"));
  pair.querySelectorAll("figure").forEach((figure, i) => {
    const [shown, whose] = sides[i];
    show(figure.querySelector("img"), shown.picture);
    figure.querySelector("figcaption").append(element("span", { text: whose }), element("b", { text: clock(shown.start_s) }));
  });
  return [pair, text];
}

function reason(item, kind, deeds) {
  if (item.failure) return [item.failure.message || t("badge.failed")];
  if (!item.why) return [[item.category, item.created_at && new Date(item.created_at).toLocaleDateString(document.documentElement.lang)].filter(Boolean).join(" · ")];
  const { type, watched, moment } = item.why;
  if (type === "watched") return [t("why.seen")];
  if (type !== "similar") return [t(`why.${type}`)];
  const time = (m) => element("b", { text: clock(m.start_s) });
  if (!watched) return moment ? parts("why.picture", { time: time(moment) }) : [t("why.taste")];
  const theirs = watched.moment?.start_s ?? 0;
  // A link, not a button: buttons do not break over lines.
  const other = element("a", { text: watched.title, href: deeds.address(watched, theirs) });
  other.addEventListener("click", (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    deeds.play({ ...watched, why: kind === "similar" ? undefined : { type: "watched" } }, theirs);
  });
  const key = `${kind === "similar" ? "why.video" : "why.watched"}`;
  if (!moment || !watched.moment) return parts(key, { other });
  return parts(kind === "similar" ? "why.moment" : "why.watched.moment", { other, time: time(watched.moment) });
}
