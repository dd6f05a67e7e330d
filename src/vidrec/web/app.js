// The viewer's page. Its address says what is shown: ?user=mina, &q=waves, &like=ID, &play=ID&t=12.

import { api, sentence } from "./api.js";
import { $, keep, kept } from "./dom.js";
import { event, tell } from "./events.js";
import { feed } from "./feed.js";
import { onLanguage, setUpLanguage, t } from "./i18n.js";
import { impressions } from "./impressions.js";
import { csv, m3u, save } from "./lists.js";
import { known, setUpPeople, showUser, somebody } from "./people.js";
import { frameOf, shrink } from "./pictures.js";
import { player } from "./player.js";
import { lookForPreparing, setUpPreparing } from "./preparing.js";
import { enter, session } from "./session.js";

const MANY = 60;
let user = "";
let asked = null; // the picture that is searched by: {blob, address, kind}
let toasting = 0;

// -------------------------------------------------------------------------------------------- address

const address = () => new URLSearchParams(location.search);

function addressWith(changes) {
  const next = address();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) next.delete(key);
    else next.set(key, value);
  }
  return `/?${next}`;
}

function go(changes, { replace = false, opened = false } = {}) {
  history[replace ? "replaceState" : "pushState"]({ opened }, "", addressWith(changes));
  return route();
}

const watching = (item, from) => ({ play: item.id, t: from ? from.toFixed(2) : null });

const ELSEWHERE = { q: null, like: null, by: null, play: null, t: null };

/** Shows what the address says. What is shown already stays. */
async function route() {
  const at = address();
  const who = session.user_id || (at.get("user") ?? "").slice(0, 256).trim() || user || known()[0] || await somebody();
  const changed = who !== user;
  if (changed) {
    user = who;
    showUser(user);
  }
  const source = sourceOf(at);
  const playing = at.get("play");
  if (!playing) player.close();
  if (document.activeElement !== $("q")) $("q").value = at.get("q") ?? "";
  const listed = changed || feed.source?.key !== source.key ? feed.open(source) : null;
  if (playing && player.item?.id !== playing) await openPlayer(playing, Number(at.get("t")) || 0);
  await listed;
}

// --------------------------------------------------------------------------------------------- sources

function sourceOf(at) {
  if (at.get("q")) return byTitle(at.get("q").slice(0, 256));
  if (at.get("like")) return similarTo(at.get("like"));
  if (at.get("by") && asked) return byPicture(asked);
  return recommended();
}

const recommended = () => ({
  key: "recommend",
  kind: "recommend",
  refreshes: true,
  heading: (page) => t(page?.strategy === "popular" ? "heading.popular" : "heading.content", { user }),
  empty: (page) => (page.model ? { title: t("empty.seen"), text: t("empty.seen.text") } : { title: t("empty.library"), text: t("empty.library.text") }),
  async load(cursor, n) {
    const page = await api.recommend(user, n, cursor);
    drawNotice(page);
    return page;
  },
});

function byTitle(q) {
  return {
    key: `title ${q}`,
    kind: "titles",
    heading: () => t("heading.titles", { q }),
    empty: () => ({ title: t("empty.titles", { q }), text: t("empty.titles.text"), back: home() }),
    load: (cursor, n) => api.videos({ q, cursor, limit: n }),
  };
}

function similarTo(id) {
  let title = feed.find(id)?.title ?? (player.item?.id === id ? player.item.title : null);
  return {
    key: `similar ${id}`,
    kind: "similar",
    heading: () => t("heading.similar", { title: title ?? "…" }),
    empty: () => ({ title: t("empty.similar"), text: t("empty.similar.text"), back: home() }),
    async load() {
      const [page, video] = await Promise.all([api.similar(id, MANY), title ? null : api.video(id)]);
      title ??= video.title;
      return page;
    },
  };
}

const byPicture = ({ blob, address: shown, kind }) => ({
  key: `picture ${shown}`,
  kind: "picture",
  asked: shown,
  heading: () => t(`heading.${kind}`),
  empty: () => ({ title: t("empty.similar"), text: t("empty.similar.text"), back: home() }),
  load: () => api.picture(blob, MANY),
});

const home = () => `/?${new URLSearchParams({ user })}`;

function searchBy(blob, kind) {
  if (asked) URL.revokeObjectURL(asked.address);
  asked = { blob, kind, address: URL.createObjectURL(blob) };
  // A second picture is another list, although the address may be the same.
  return go({ ...ELSEWHERE, by: kind });
}

// ----------------------------------------------------------------------------------------------- deeds

const deeds = {
  address: (item, from) => addressWith(watching(item, from)),

  play(item, from) {
    opening = item;
    // From one video to the next is no step back: Back closes the player.
    go(watching(item, from), { replace: player.open, opened: player.open ? Boolean(history.state?.opened) : true });
  },

  similar: (item) => go({ ...ELSEWHERE, like: item.id }),

  /** The list answers at once, and comes back as it was where the API does not take it. */
  async react(item, kind) {
    const gone = kind !== "like";
    try {
      await tell(event(user, item, kind));
    } catch {
      toast(t("error.offline"));
      return;
    }
    if (gone) {
      player.close();
      feed.drop(item.id);
    } else {
      feed.keep(item.id, "liked");
      if (player.item?.id === item.id) player.liked();
    }
    toast(t(`told.${kind}`, item));
    await follow();
  },
};

async function follow() {
  try {
    await feed.refresh();
  } catch (error) {
    toast(sentence(error));
  }
}

let opening = null; // the item that was clicked: it knows why it was recommended

async function openPlayer(id, from) {
  let item = [opening, feed.find(id)].find((found) => found?.id === id);
  opening = null;
  try {
    item ??= await api.video(id);
  } catch (error) {
    toast(sentence(error));
    go({ play: null, t: null }, { replace: true });
    return;
  }
  if (address().get("play") === id) player.play(item, from, { user, kind: feed.source?.kind ?? "recommend" });
}

player.setUp({
  play: deeds.play,
  address: deeds.address,
  similar: deeds.similar,
  react: deeds.react,
  async frame(video) {
    try {
      searchBy(await frameOf(video), "frame");
    } catch (error) {
      toast(sentence(error));
    }
  },
  closed() {
    if (!address().get("play")) return;
    if (history.state?.opened) history.back();
    else go({ play: null, t: null }, { replace: true });
  },
  watched(item) {
    feed.keep(item.id, "watched");
    setTimeout(follow, 300); // the beacon is on its way
  },
});

// -------------------------------------------------------------------------------------------- the page

const NOTICED = "vidrec.noticed";

function drawNotice(page) {
  // Once read it need not be read again, until another model has something to say.
  const untrained = page.model && !page.model.trained;
  $("notice").hidden = !untrained || kept(NOTICED) === page.model.version;
  $("notice").dataset.model = page.model?.version ?? "";
  $("notice-text").textContent = t("untrained");
}

/** Said where it is seen and heard: what is behind an open dialog is neither. */
function toast(text) {
  clearTimeout(toasting);
  const say = (words) => {
    $("toast").textContent = player.open ? "" : words;
    $("toast-player").textContent = player.open ? words : "";
  };
  say(text);
  toasting = setTimeout(() => say(""), 6000);
}

function setUpSearch() {
  let typing = 0;
  const search = (replace) => {
    clearTimeout(typing);
    const q = $("q").value.trim();
    if (q !== (address().get("q") ?? "")) go({ ...ELSEWHERE, q: q || null }, { replace });
  };
  $("search").addEventListener("submit", (e) => { e.preventDefault(); search(address().has("q")); });
  $("q").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => search(address().has("q")), 350);
  });
  const picture = async (file) => { if (file) await searchBy(await shrink(file), "picture"); };
  $("picture").addEventListener("change", async ({ target }) => {
    await picture(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  const image = (data) => [...(data?.files ?? [])].find((file) => file.type.startsWith("image/"));
  document.addEventListener("paste", (e) => picture(image(e.clipboardData)));
  document.addEventListener("dragover", (e) => { if (e.dataTransfer?.types.includes("Files")) e.preventDefault(); });
  document.addEventListener("drop", (e) => {
    if (!e.dataTransfer?.types.includes("Files")) return; // else the browser would leave the page for the file
    e.preventDefault();
    picture(image(e.dataTransfer));
  });
}

function saveList(kind) {
  const name = `vidrec-${user.replace(/[^\p{L}\p{N}_-]+/gu, "_").slice(0, 40)}.${kind}`;
  if (kind === "m3u") save(name, m3u(feed.items), "audio/x-mpegurl");
  else save(name, csv(feed.items), "text/csv");
  toast(t("saved", { name }));
}

setUpLanguage();
const entered = enter(["consumer", "admin"]);
feed.setUp(deeds);
impressions.setUp((id) => ({ user, item: feed.find(id) }));
setUpPreparing(() => feed.open(feed.source));
setUpSearch();
$("skip").addEventListener("click", (e) => {
  e.preventDefault(); // an address that ends in #list would take the focus there again with every step back
  $("list").focus();
});
for (const kind of ["m3u", "csv"]) $(`save-${kind}`).addEventListener("click", () => saveList(kind));
for (const id of ["home", "back"]) {
  $(id).addEventListener("click", (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    const here = feed.source?.kind === "recommend";
    go(ELSEWHERE);
    if (here) feed.open(feed.source);
    $("list").focus({ preventScroll: true });
    scrollTo({ top: 0 });
  });
}
$("empty-do").addEventListener("click", (e) => {
  if (e.target.getAttribute("href") === "/upload") return;
  e.preventDefault();
  go(ELSEWHERE);
});
$("notice-close").addEventListener("click", () => {
  keep(NOTICED, $("notice").dataset.model);
  $("notice").hidden = true;
});
onLanguage(() => {
  $("notice-text").textContent = t("untrained");
  feed.redraw();
  player.redraw();
});
await entered;
setUpPeople((chosen) => go({ ...ELSEWHERE, user: chosen }), session.user_id);
addEventListener("popstate", route);
route();
lookForPreparing();
