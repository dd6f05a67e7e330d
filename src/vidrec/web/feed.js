// The list: loads pages as they come into sight, never shows a video twice, and follows what the viewer does.

import { card, mark } from "./cards.js";
import { $ } from "./dom.js";
import { sentence } from "./api.js";
import { t } from "./i18n.js";
import { impressions } from "./impressions.js";

const PAGE = 24;
const MOST = 100; // the API's own limit of a page
const SLOW_MS = 3000;
const list = $("list");
const state = { source: null, items: [], cursor: null, page: null, turn: 0, busy: false, kept: new Map(), error: null };
let deeds = null;

/** A source is {key, kind, heading(page), empty, load(cursor, n) -> {items, next_cursor, ...}, refreshes, asked}. */
export const feed = {
  setUp(cardDeeds) {
    deeds = cardDeeds;
    new IntersectionObserver(onTail, { rootMargin: "900px 0px" }).observe($("tail"));
    $("more").addEventListener("click", more);
    $("retry").addEventListener("click", () => feed.open(state.source));
    list.addEventListener("keydown", arrows);
  },
  get source() { return state.source; },
  get items() { return state.items; },
  find: (id) => state.items.find((item) => item.id === id),

  /** Another list, from its start. */
  async open(source) {
    Object.assign(state, { source, items: [], cursor: null, page: null, error: null });
    state.kept.clear();
    list.replaceChildren(...Array.from({ length: 12 }, skeleton));
    const page = await load(PAGE);
    if (!page) return;
    list.replaceChildren();
    add(page);
    draw();
    look();
  },

  /** The same list as it is now: what is kept stays in its place, the others move up, go and come. */
  async refresh() {
    if (!state.source?.refreshes) return;
    const page = await load(Math.min(MOST, Math.max(PAGE, state.items.length)), { quiet: true });
    if (!page) return;
    reconcile(page);
    look();
  },

  /** Stays where it is, marked, although it will not be recommended again. */
  keep(id, how) {
    const node = nodeOf(id);
    if (!node) return;
    state.kept.set(id, how);
    mark(node, how);
  },

  /** Goes at once. */
  drop(id) {
    const held = heldAt();
    state.kept.delete(id);
    nodeOf(id)?.remove();
    state.items = state.items.filter((item) => item.id !== id);
    refocus(held);
    draw();
  },

  /** The same list in another language. */
  redraw() {
    if (!state.page) return;
    list.replaceChildren(...state.items.map(make));
    draw();
  },
};

// --------------------------------------------------------------------------------------------- loading

/** The page, or null where it was not to be had or another list was opened meanwhile. */
async function load(n, { cursor = null, quiet = false } = {}) {
  const turn = ++state.turn;
  const first = !cursor && !quiet;
  state.busy = true;
  state.error = null;
  list.setAttribute("aria-busy", "true");
  if (first) draw();
  const slow = setTimeout(() => { $(first ? "status" : "tail-text").textContent = t("slow"); }, SLOW_MS);
  try {
    const page = await state.source.load(cursor, n);
    return turn === state.turn ? page : null;
  } catch (error) {
    if (turn !== state.turn) return null;
    if (quiet) throw error; // the list stays as it is
    state.error = { error, first };
    if (first) list.replaceChildren();
    return null;
  } finally {
    clearTimeout(slow);
    if (turn === state.turn) {
      state.busy = false;
      list.setAttribute("aria-busy", "false");
      if (state.error) draw();
    }
  }
}

async function more() {
  if (!state.cursor || state.busy) return;
  const held = document.activeElement === $("more") ? state.items.length : -1;
  $("tail-text").textContent = t("looking");
  $("more").hidden = true;
  const page = await load(PAGE, { cursor: state.cursor });
  if (!page) return;
  add(page);
  draw();
  if (held >= 0) list.children[held]?.querySelector(".play").focus();
  look();
}

function onTail(entries) {
  state.tail = entries.at(-1).isIntersecting;
  look();
}

/** The observer speaks only when the tail comes and goes; after a page it may still be in sight. */
function look() {
  if (state.tail && state.cursor && !state.error) requestAnimationFrame(more);
}

function add(page) {
  const items = fresh(page, new Set(state.items.map((item) => item.id)));
  state.items.push(...items);
  list.append(...items.map(make));
  impressions.watch(list);
}

/** The page's items that are not shown already; each remembers the recommendation it came from. */
function fresh(page, shown) {
  Object.assign(state, { page, cursor: page.next_cursor ?? null });
  return page.items.filter((item) => !shown.has(item.id) && shown.add(item.id))
    .map((item) => ({ ...item, recommendation: page.recommendation_id ?? null }));
}

function reconcile(page) {
  const held = heldAt();
  const before = new Map(state.items.map((item, i) => [item.id, { item, i, node: nodeOf(item.id) }]));
  const items = fresh(page, new Set(state.kept.keys()));
  for (const id of state.kept.keys()) if (before.has(id)) items.splice(before.get(id).i, 0, before.get(id).item);
  const nodes = items.map((item) => {
    const old = before.get(item.id);
    const same = old && (state.kept.has(item.id) || JSON.stringify(old.item.why) === JSON.stringify(item.why));
    return same ? old.node : make(item);
  });
  state.items = items;
  // Nodes that stay are not taken out and put back: focus, hover and pictures would be lost.
  const staying = new Set(nodes);
  for (const node of [...list.children]) if (!staying.has(node)) node.remove();
  nodes.forEach((node, i) => { if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null); });
  impressions.watch(list);
  refocus(held);
  draw();
}

// --------------------------------------------------------------------------------------------- drawing

function make(item) {
  const node = card(item, state.source.kind, deeds);
  if (state.kept.has(item.id)) mark(node, state.kept.get(item.id));
  return node;
}

function skeleton() {
  const node = document.createElement("div");
  node.className = "skeleton";
  node.setAttribute("aria-hidden", "true");
  node.append(...["picture", "line", "line short"].map((name) => Object.assign(document.createElement("div"), { className: name })));
  return node;
}

function draw() {
  const { source, page, items, error, busy } = state;
  const failed = error?.first;
  $("heading").textContent = source.heading(page);
  document.title = `${source.heading(page)} · vidrec`;
  $("back").hidden = source.kind === "recommend";
  $("asked").hidden = !source.asked;
  if (source.asked && $("asked").src !== source.asked) $("asked").src = source.asked;
  $("failed").hidden = !failed;
  if (failed) $("failure").textContent = sentence(error.error);
  $("degraded").hidden = !page?.degraded;
  const none = Boolean(page) && !items.length && !failed;
  $("empty").hidden = !none;
  if (none) drawEmpty(source.empty(page));
  $("save").hidden = !items.length;
  $("save-zip").href = `/videos.zip?${new URLSearchParams(items.slice(0, MOST).map((item) => ["video", item.id]))}`;
  list.setAttribute("role", items.length || busy ? "feed" : "presentation"); // a feed must have articles
  $("status").textContent = failed ? "" : !page ? t("looking") : items.length ? t(state.cursor ? "videos.more" : "videos", { n: items.length }) : "";
  $("tail-text").textContent = error && !failed ? t("more.failed", { reason: sentence(error.error) })
    : page && items.length && !state.cursor ? t("end") : "";
  $("more").hidden = busy || !state.cursor || !items.length;
  $("more").textContent = t(error && !failed ? "retry" : "more");
  [...list.children].forEach((node, i) => {
    node.setAttribute("aria-posinset", i + 1);
    node.setAttribute("aria-setsize", state.cursor ? -1 : items.length);
  });
}

function drawEmpty({ title, text, back }) {
  $("empty-title").textContent = title;
  $("empty-text").textContent = text;
  $("empty-do").textContent = t(back ? "empty.back" : "empty.upload");
  $("empty-do").href = back ?? "/upload";
}

// ----------------------------------------------------------------------------------------------- focus

const nodeOf = (id) => list.querySelector(`[data-id="${CSS.escape(id)}"]`);

/** Where in the list the focus is, and on what; null where it is elsewhere. */
function heldAt() {
  const node = document.activeElement?.closest?.("#list > [data-id]");
  if (!node) return null;
  return { node, at: [...list.children].indexOf(node), deed: document.activeElement.dataset?.do };
}

/** A card that goes hands the focus to the one that takes its place. */
function refocus(held) {
  if (!held || (held.node.isConnected && document.activeElement !== document.body)) return;
  const node = held.node.isConnected ? held.node : list.children[Math.min(held.at, list.children.length - 1)];
  const same = held.deed && node?.querySelector(`[data-do="${held.deed}"]`);
  (same || node?.querySelector(".play") || list).focus({ preventScroll: !node });
}

function arrows(e) {
  if (!e.target.matches(".play") || e.altKey || e.ctrlKey || e.metaKey) return;
  const cards = [...list.children];
  const at = cards.indexOf(e.target.closest(".card"));
  const columns = cards.filter((node) => node.offsetTop === cards[0].offsetTop).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[e.key];
  const next = step && cards[at + step]?.querySelector(".play");
  if (!next) return;
  e.preventDefault();
  next.focus();
}
