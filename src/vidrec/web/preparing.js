// Tells which videos are still being looked into, and when they can be recommended.

import { api } from "./api.js";
import { $ } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

const EVERY_MS = 4000;
const NAMED = 2;
const WAYS = ["uploading", "queued", "processing"];
let waiting = new Map(); // id -> title
let ready = 0;
let timer = 0;

export function setUpPreparing(showNew) {
  $("preparing-show").addEventListener("click", () => { ready = 0; draw(); showNew(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) lookForPreparing(); });
  onLanguage(draw);
}

export async function lookForPreparing() {
  clearTimeout(timer);
  let found;
  try {
    const pages = await Promise.all(WAYS.map((status) => api.videos({ status, limit: 200 })));
    found = new Map(pages.flatMap((page) => page.items).map((item) => [item.id, item.title]));
  } catch {
    timer = setTimeout(lookForPreparing, 5 * EVERY_MS);
    return;
  }
  ready += [...waiting.keys()].filter((id) => !found.has(id)).length;
  waiting = found;
  draw();
  if (waiting.size && !document.hidden) timer = setTimeout(lookForPreparing, EVERY_MS);
}

function draw() {
  const titles = [...waiting.values()];
  const named = titles.slice(0, NAMED).join(", ");
  const rest = titles.length - NAMED;
  const text = [];
  if (ready) text.push(t("preparing.ready", { n: ready }));
  if (titles.length) {
    text.push(t("preparing", { n: titles.length, titles: rest > 0 ? t("and.more", { titles: named, n: rest }) : named }));
  }
  $("preparing").hidden = !text.length;
  $("preparing-text").textContent = text.join(" ");
  $("preparing-show").hidden = !ready;
  $("preparing").classList.toggle("done", !titles.length);
}
