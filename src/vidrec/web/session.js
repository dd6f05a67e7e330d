// Who is signed in. Where the server asks for keys the page asks for one, once: the browser then holds a cookie that no
// script can read.

import { api, onSignedOut, sentence } from "./api.js";
import { $, element } from "./dom.js";
import { onLanguage, parts, t } from "./i18n.js";

export const session = { auth: "off", role: "admin", user_id: null, buckets: [] };

const ELSEWHERE = { producer: ["sign.producer", "/upload", "sign.upload"], consumer: ["sign.consumer", "/", "sign.watch"] };
let wanted = []; // the roles that this page is for
let dialog = null;
let waiting = null; // resolves once somebody is signed in who may use this page
let problem = null; // () => nodes or text of what is wrong

const fits = () => session.auth === "off" || wanted.includes(session.role);

/** Resolves when whoever is here may use the page, which is for these roles; asks for a key where it must. */
export async function enter(roles) {
  wanted = roles;
  onSignedOut(() => { session.role = null; return signIn(); });
  $("sign-out").addEventListener("click", signOut);
  try {
    Object.assign(session, await api.session());
  } catch {
    return; // the page's own requests tell what is wrong
  }
  drawSignOut();
  if (!fits()) await signIn();
}

function signIn() {
  waiting ??= new Promise((done) => {
    dialog ??= build();
    problem = session.role ? elsewhere : null;
    draw();
    dialog.done = done;
    dialog.showModal();
  }).finally(() => { waiting = null; });
  return waiting;
}

async function submit(e) {
  e.preventDefault();
  const button = $("sign-in-go");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    Object.assign(session, await api.signIn($("sign-in-key").value.trim()));
    problem = fits() ? null : elsewhere;
  } catch (error) {
    problem = error.status === 401 || error.status === 422 ? () => [t("sign.unknown")] : () => [sentence(error)];
  } finally {
    button.removeAttribute("aria-disabled");
  }
  if (problem) {
    draw();
    $("sign-in-key").select();
    $("sign-in-key").focus();
    return;
  }
  const { done } = dialog;
  $("sign-in-key").value = "";
  dialog.done = null;
  dialog.close();
  drawSignOut();
  done();
}

async function signOut() {
  try {
    await api.signOut();
  } finally {
    location.assign(location.pathname);
  }
}

/** A valid key of a role that this page is not for: says so, and where it is of use. */
function elsewhere() {
  const [words, href, name] = ELSEWHERE[session.role];
  return parts(words, { page: element("a", { href, text: t(name) }) });
}

function build() {
  const made = element("dialog", { id: "sign-in", className: "sign-in", "aria-labelledby": "sign-in-title", "aria-describedby": "sign-in-text" });
  const label = (id) => ({ id });
  const input = element("input", {
    id: "sign-in-key", name: "key", type: "password", autocomplete: "current-password", required: "", maxlength: 4096,
    spellcheck: "false", autocapitalize: "none", autofocus: "", "aria-describedby": "sign-in-problem",
  });
  made.append(element("form", {},
    element("div", { className: "sign-in-head" }, element("span", { className: "mark", "aria-hidden": "true" }),
      element("h2", label("sign-in-title")), element("button", { id: "sign-in-language", type: "button", className: "tool" })),
    element("p", label("sign-in-text")),
    element("label", { id: "sign-in-label", for: "sign-in-key" }), input,
    element("p", { id: "sign-in-problem", className: "problem", role: "alert" }),
    element("button", { id: "sign-in-go", type: "submit", className: "main" })));
  made.querySelector("form").addEventListener("submit", submit);
  made.addEventListener("cancel", (e) => e.preventDefault());
  made.addEventListener("close", () => { if (made.done) made.showModal(); }); // browsers close it on a second Escape
  document.body.append(made);
  // The one in the head is out of reach while the dialog is open.
  $("sign-in-language").addEventListener("click", () => $("language").click());
  onLanguage(draw);
  return made;
}

function draw() {
  $("sign-in-title").textContent = t("sign.title");
  $("sign-in-text").textContent = t("sign.text");
  $("sign-in-label").textContent = t("sign.key");
  $("sign-in-go").textContent = t("sign.go");
  $("sign-in-language").textContent = $("language").textContent;
  $("sign-in-language").lang = $("language").lang;
  $("sign-in-problem").replaceChildren(...(problem?.() ?? []));
  $("sign-in-key").setAttribute("aria-invalid", String(Boolean(problem)));
}

function drawSignOut() {
  $("sign-out").hidden = session.auth === "off" || !session.role;
}
