// Who is watching: chosen among those known to this browser, or typed.

import { api } from "./api.js";
import { $, element, keep, kept, uuid } from "./dom.js";

const KEY = "vidrec.users";
const MOST = 8;
const DEMO = ["mina", "jun", "sora", "demo"]; // they have watched something of the demo library
let demo = false;
let looked = null;

export function known() {
  try {
    const users = JSON.parse(kept(KEY) ?? "[]");
    return Array.isArray(users) ? users.filter((user) => typeof user === "string" && user) : [];
  } catch {
    return [];
  }
}

/** Somebody for the first visit: one of the demo library's people, else somebody new. */
export async function somebody() {
  await lookForDemo();
  return demo ? DEMO[0] : `guest-${uuid().slice(0, 6)}`;
}

function lookForDemo() {
  return looked ??= api.videos({ limit: 50 }).then(({ items }) => {
    demo = items.some((item) => /^demo-\d+$/.test(item.external_id ?? ""));
  }).catch(() => { looked = null; }); // then nobody is suggested
}

/** `only`: the one user that there is to choose. */
export function setUpPeople(choose, only = null) {
  const popover = $("people");
  if (only !== null) {
    $("person").disabled = true; // says who it is, still
    return;
  }
  $("who").addEventListener("submit", (e) => {
    e.preventDefault();
    const user = $("user").value.trim();
    if (!user) return;
    popover.hidePopover();
    choose(user);
  });
  popover.addEventListener("beforetoggle", (e) => {
    if (e.newState !== "open") return;
    $("user").value = ""; // here and not once it is shown: by then somebody may have begun to type
    draw(popover, choose);
  });
  popover.addEventListener("toggle", (e) => {
    if (e.newState === "open" && !popover.contains(document.activeElement)) ($("known").querySelector("button") ?? $("user")).focus();
  });
  lookForDemo();
}

function draw(popover, choose) {
  const users = [...new Set([...known(), ...(demo ? DEMO : [])])];
  $("known").replaceChildren(...users.map((user) => {
    const button = element("button", { type: "button", className: "user" },
      element("span", { className: "initial", "aria-hidden": "true", text: initial(user) }), element("span", { text: user }));
    button.setAttribute("aria-pressed", String(user === $("me").textContent));
    button.addEventListener("click", () => { popover.hidePopover(); choose(user); });
    return button;
  }));
}

const initial = (user) => [...user][0].toLocaleUpperCase();

export function showUser(user) {
  $("me").textContent = user;
  $("initial").textContent = initial(user);
  if (!$("person").disabled) keep(KEY, JSON.stringify([user, ...known().filter((u) => u !== user)].slice(0, MOST)));
}
