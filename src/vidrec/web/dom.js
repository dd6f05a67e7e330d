// Small things that every module of the pages needs.

export const $ = (id) => document.getElementById(id);

export function element(name, { text = "", className = "", ...attributes } = {}, ...children) {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  if (className) node.className = className;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** 75 -> 01:15, 3675 -> 01:01:15 */
export function clock(seconds) {
  const s = Math.floor(seconds);
  const parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60];
  return parts.slice(parts[0] ? 0 : 1).map((n) => String(n).padStart(2, "0")).join(":");
}

export function uuid() {
  // crypto.randomUUID is there in secure contexts only; people do open this page by http://machine:3000.
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** localStorage throws where the browser is told to keep nothing; then nothing is kept. */
export function kept(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

export function keep(key, value) {
  try { localStorage.setItem(key, value); } catch { /* see above */ }
}

/** A picture that cannot be had is not shown broken. */
export function show(image, address) {
  image.addEventListener("error", () => image.classList.add("gone"), { once: true });
  image.classList.remove("gone");
  image.src = address;
}
