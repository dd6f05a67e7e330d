// The pages' language: the browser's, or the one that was chosen here and is remembered.

import { $, keep, kept } from "./dom.js";
import { WORDS } from "./words.js";

const KEY = "vidrec.language";
const NAMES = { en: "English", ko: "한국어" };
const listeners = [];
let language = WORDS[kept(KEY)] ? kept(KEY) : (navigator.languages ?? [navigator.language])
  .map((l) => l.slice(0, 2)).find((l) => WORDS[l]) ?? "en";

/** The words for `key`, with `{name}` replaced by values. */
export function t(key, values = {}) {
  return parts(key, values).join("");
}

/** As `t`, but values may be nodes: a list to be appended. */
export function parts(key, values = {}) {
  const words = WORDS[language][key] ?? WORDS.en[key] ?? key;
  const text = typeof words === "function" ? words(values) : words;
  return text.split(/(\{\w+\})/).filter(Boolean)
    .map((part) => (/^\{\w+\}$/.test(part) ? values[part.slice(1, -1)] ?? "" : part));
}

const ATTRIBUTES = { label: "aria-label", title: "title", placeholder: "placeholder" };

export function translate(root = document) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const [kind, attribute] of Object.entries(ATTRIBUTES)) {
    for (const node of root.querySelectorAll(`[data-t-${kind}]`)) {
      node.setAttribute(attribute, t(node.getAttribute(`data-t-${kind}`)));
    }
  }
}

/** Called with each change of the language; what modules made themselves they make again. */
export function onLanguage(listener) {
  listeners.push(listener);
}

export function setUpLanguage() {
  const button = $("language");
  const apply = () => {
    const other = language === "en" ? "ko" : "en";
    document.documentElement.lang = language;
    Object.assign(button, { textContent: NAMES[other], lang: other });
    translate();
  };
  button.addEventListener("click", () => {
    language = language === "en" ? "ko" : "en";
    keep(KEY, language);
    apply();
    for (const listener of listeners) listener();
  });
  apply();
}
