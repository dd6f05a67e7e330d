// The list as a file: M3U for players, CSV for tables. Made here, from what is on the page.

import { start } from "./cards.js";

const whole = (path) => new URL(path, location.href).href;
const line = (text) => String(text).replace(/[\r\n]+/g, " ");

export function m3u(items) {
  const entries = items.map((item) => [
    `#EXTINF:${Math.round(item.duration_s ?? -1)},${line(item.title)}`,
    ...(start(item) ? [`#EXTVLCOPT:start-time=${start(item)}`] : []),
    whole(item.links.stream),
  ]);
  return ["#EXTM3U", ...entries.flat(), ""].join("\n");
}

const HEADS = ["id", "external_id", "title", "duration_s", "start_s", "why", "like_title", "like_start_s", "stream", "download"];

export function csv(items) {
  const rows = items.map((item) => [
    item.id, item.external_id, item.title, item.duration_s, item.why?.moment?.start_s, item.why?.type,
    item.why?.watched?.title, item.why?.watched?.moment?.start_s, whole(item.links.stream), whole(item.links.download),
  ]);
  // With the mark at its start spreadsheets read it as UTF-8.
  return `\ufeff${[HEADS, ...rows].map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  // A title such as =1+1 must stay a title in a spreadsheet.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function save(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
