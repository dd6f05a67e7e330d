// The viewer's page: recommendations for one user, each with its reason; what the user does is told to the API.

const $ = (id) => document.getElementById(id);
const list = $("list");
const PAGE = 24;
const KNOWN = "vidrec.users";

const view = { user: "", recommendation: null, cursor: null, playing: null, watched: 0, last: null, turn: 0 };

// ------------------------------------------------------------------------------------------------ API

class Refused extends Error {}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused("The server does not answer. Is it still running?");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(body?.detail ?? `The server answered ${response.status}.`);
  return body;
}

function event(item, type, more = {}) {
  return {
    user_id: view.user, video_id: item.id, type, recommendation_id: view.recommendation, event_id: uuid(), ...more,
  };
}

function uuid() {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function tell(...events) {
  return ask("/events", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(events),
  });
}

// ----------------------------------------------------------------------------------------------- list

async function recommend({ more = false } = {}) {
  const turn = ++view.turn;
  show({ busy: true, skeletons: !more && !list.querySelector(".card") });
  const query = new URLSearchParams({ userid: view.user, n: PAGE });
  if (more && view.cursor) query.set("cursor", view.cursor);
  try {
    const page = await ask(`/recommend?${query}`);
    if (turn !== view.turn) return;
    if (!more) list.replaceChildren();
    view.recommendation = page.recommendation_id;
    view.cursor = page.next_cursor;
    list.append(...page.items.map(card));
    show({ page });
    impressions();
  } catch (error) {
    if (turn === view.turn) show({ error });
  }
}

function show({ busy = false, skeletons = false, page = null, error = null }) {
  list.setAttribute("aria-busy", String(busy));
  if (skeletons) list.replaceChildren(...Array.from({ length: 8 }, () => element("div", "skeleton")));
  if (error) list.querySelectorAll(".skeleton").forEach((e) => e.remove());
  $("failed").hidden = !error;
  $("failure").textContent = error instanceof Refused ? error.message : error ? "The page made a mistake." : "";
  if (error && !(error instanceof Refused)) console.error(error);
  $("more").hidden = busy || Boolean(error) || !view.cursor;
  if (busy || error) { $("empty").hidden = true; $("status").textContent = busy ? "Looking…" : ""; return; }
  const count = list.children.length;
  $("notice").textContent = page.notice ?? "";
  $("notice").hidden = !page.notice;
  $("degraded").hidden = !page.degraded;
  $("empty").hidden = count > 0;
  $("heading").textContent = page.strategy === "content" ? `For ${view.user}` : `Popular and fresh, for ${view.user}`;
  $("status").textContent = count === 1 ? "1 video" : `${count} videos`;
}

function card(item) {
  const node = $("card").content.firstElementChild.cloneNode(true);
  const start = item.why.moment?.start_s ?? 0;
  const image = node.querySelector("img");
  image.addEventListener("error", () => image.classList.add("gone"));
  image.src = item.links.thumbnail;
  node.querySelector(".play").setAttribute("aria-label", `Play ${item.title}` + (start ? ` from ${clock(start)}` : ""));
  node.querySelector(".play").addEventListener("click", () => play(item, start));
  node.querySelector(".at").textContent = item.why.moment ? clock(start) : "";
  node.querySelector(".title").textContent = item.title;
  node.querySelector(".why").append(...reason(item));
  moments(node.querySelector(".moments"), item.why);
  const download = node.querySelector(".download");
  download.href = item.links.download;
  download.setAttribute("aria-label", `Download ${item.title}`);
  for (const kind of ["like", "hide"]) {
    const button = node.querySelector(`.${kind}`);
    button.setAttribute("aria-label", `${button.textContent} ${item.title}`);
    button.addEventListener("click", () => react(item, kind));
  }
  node.dataset.id = item.id;
  return node;
}

function moments(node, { watched, moment }) {
  if (!moment || !watched?.moment) return;
  const pair = [[watched.moment, `watched, ${clock(watched.moment.start_s)}`], [moment, `this one, ${clock(moment.start_s)}`]];
  node.querySelectorAll("figure").forEach((figure, i) => {
    const image = figure.querySelector("img");
    image.addEventListener("error", () => { node.hidden = true; });
    image.src = pair[i][0].picture;
    figure.querySelector("figcaption").textContent = pair[i][1];
  });
  node.hidden = false;
}

function reason(item) {
  const { type, watched, moment } = item.why;
  if (type === "popular") return ["Popular now"];
  if (type === "fresh") return ["New here"];
  if (!watched) return ["Like what you watched"];
  const other = element("button", "", watched.title);
  other.type = "button";
  const theirs = watched.moment?.start_s ?? 0;
  other.addEventListener("click", () => play({ ...watched, why: { type: "watched" } }, theirs));
  if (!moment || !watched.moment) return ["Like ", other, ", which you watched"];
  return [`Its ${span(moment)} is like ${span(watched.moment)} of `, other, ", which you watched"];
}

async function react(item, kind) {
  try {
    await tell(event(item, kind));
    list.querySelector(`[data-id="${CSS.escape(item.id)}"]`)?.remove();
    if ($("player").open) $("player").close();
    await recommend();
    $("status").textContent = kind === "like" ? `Liked ${item.title}` : `${item.title} will not be shown again`;
    list.focus({ preventScroll: true });
  } catch (error) {
    show({ error });
  }
}

// An item counts as shown when half of it was in sight for a second.
const waiting = new Map();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    clearTimeout(waiting.get(target));
    if (!isIntersecting) continue;
    waiting.set(target, setTimeout(() => {
      watcher.unobserve(target);
      waiting.delete(target);
      tell(event({ id: target.dataset.id }, "impression")).catch(() => {});
    }, 1000));
  }
}, { threshold: 0.5 });

function impressions() {
  for (const node of list.querySelectorAll(".card:not([data-observed])")) {
    node.dataset.observed = "";
    watcher.observe(node);
  }
}

// --------------------------------------------------------------------------------------------- player

function play(item, start) {
  leave();
  const video = $("video");
  Object.assign(view, { playing: item, watched: 0, last: null });
  $("playing").textContent = item.title;
  $("reason").replaceChildren(...(item.why.type === "watched" ? ["You watched this"] : reason(item)));
  $("download").href = item.links.download;
  unplayable(item.playable === "preparing");
  video.poster = item.links.thumbnail;
  video.src = item.links.stream + (start ? `#t=${start.toFixed(2)}` : "");
  if (!$("player").open) $("player").showModal();
  video.play().catch(() => {});
  tell(event(item, "view", { position_s: start })).catch(() => {});
}

// What was really watched: time that passed while playing, not what was sought over.
$("video").addEventListener("timeupdate", ({ target }) => {
  const passed = view.last === null ? 0 : target.currentTime - view.last;
  if (passed > 0 && passed < 1.5 && !target.seeking) view.watched += passed;
  view.last = target.currentTime;
});
$("video").addEventListener("error", () => unplayable($("video").hasAttribute("src")));

function unplayable(shown) {
  $("unplayable").hidden = !shown;
  $("unplayable").textContent = view.playing?.playable === "preparing"
    ? "This video is being prepared for browsers. Try again in a little while, or download it."
    : "This browser cannot play this file. Download it instead.";
}

function leave() {
  const { playing, watched } = view;
  const video = $("video");
  if (!playing) return;
  const fraction = Math.min(1, watched / video.duration);
  view.playing = null;
  if (fraction > 0.02) {
    const told = JSON.stringify(event(playing, "watch", { fraction, position_s: video.currentTime }));
    navigator.sendBeacon("/events", new Blob([told], { type: "application/json" }));
  }
  video.removeAttribute("src");
  video.load();
  return fraction > 0.02;
}

$("player").addEventListener("close", () => { if (leave()) setTimeout(() => recommend(), 150); });
$("close").addEventListener("click", () => $("player").close());
$("player").addEventListener("click", (e) => { if (e.target === $("player")) $("player").close(); });
for (const kind of ["like", "hide"]) $(kind).addEventListener("click", () => view.playing && react(view.playing, kind));
addEventListener("pagehide", leave);

// ----------------------------------------------------------------------------------------------- user

function choose(user) {
  view.user = user;
  view.cursor = null;
  $("user").value = user;
  list.replaceChildren();
  const known = [user, ...users().filter((u) => u !== user)].slice(0, 8);
  localStorage.setItem(KNOWN, JSON.stringify(known));
  suggest();
  document.title = `vidrec · ${user}`;
  recommend();
}

function users() {
  try {
    const known = JSON.parse(localStorage.getItem(KNOWN) ?? "[]");
    return Array.isArray(known) ? known.filter((u) => typeof u === "string") : [];
  } catch {
    return [];
  }
}

function suggest() {
  const demo = ["mina", "jun", "sora"];
  const all = [...new Set([...users(), ...demo])];
  $("users").replaceChildren(...all.map((user) => Object.assign(element("option"), { value: user })));
}

$("who").addEventListener("submit", (e) => {
  e.preventDefault();
  const user = $("user").value.trim();
  if (!user) return;
  history.pushState(null, "", `?user=${encodeURIComponent(user)}`);
  choose(user);
});
$("more").addEventListener("click", () => recommend({ more: true }));
$("retry").addEventListener("click", () => recommend());
addEventListener("popstate", start);

function start() {
  choose(new URLSearchParams(location.search).get("user")?.slice(0, 256) || users()[0] || "mina");
}

// ---------------------------------------------------------------------------------------------- small

function element(name, className = "", text = "") {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function clock(seconds) {
  const s = Math.floor(seconds);
  const parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60];
  return parts.slice(parts[0] ? 0 : 1).map((n) => String(n).padStart(2, "0")).join(":");
}

const span = ({ start_s, end_s }) => `${clock(start_s)}–${clock(end_s)}`;

start();
