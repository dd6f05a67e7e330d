// The producer's page: files in, their way to being recommendable out.

import { sentence } from "./api.js";
import { $, clock, show } from "./dom.js";
import { onLanguage, setUpLanguage, t, translate } from "./i18n.js";
import { enter, session } from "./session.js";
import { follow } from "./stages.js";
import { send } from "./transfer.js";

const KINDS = ["webm", "mp4", "m4v", "mkv", "mov", "avi", "ogv"];
const STAGES = ["uploaded", "queued", "decoding", "embedding", "indexed"];
const AT_ONCE = 2;
const DEFAULT_BUCKET = "videos";
const rows = []; // newest last: {file, node, step, ...}
// Steps: waiting, sending, again, processing, ready, failed

const kind = (name) => name.split(".").pop().toLowerCase();
const running = (row) => ["waiting", "sending", "again"].includes(row.step);

// ------------------------------------------------------------------------------------------------ queue

function add(files) {
  for (const file of files) {
    const row = { file, bucket: $("bucket").value || DEFAULT_BUCKET, kept: {}, video: null, reason: "", node: $("row").content.firstElementChild.cloneNode(true) };
    row.node.querySelector(".name").textContent = file.name;
    row.node.querySelector(".retry").addEventListener("click", () => retry(row));
    row.node.querySelector(".end").addEventListener("click", () => end(row));
    translate(row.node);
    $("rows").append(row.node);
    rows.push(row);
    start(row);
  }
  pump();
}

function start(row) {
  Object.assign(row, { step: "waiting", sent: 0, since: 0, wait: 0, reason: "", stop: new AbortController() });
  if (!row.file.size) fail(row, t("up.empty"), false);
  else if (!KINDS.includes(kind(row.file.name))) fail(row, t("up.kind", { kinds: KINDS.join(", ") }), false);
  else draw(row);
}

function retry(row) {
  start(row);
  row.node.querySelector(".end").focus();
  pump();
}

function pump() {
  for (const row of rows) {
    if (rows.filter((r) => r.step === "sending" || r.step === "again").length >= AT_ONCE) return;
    if (row.step === "waiting") transfer(row);
  }
}

async function transfer(row) {
  Object.assign(row, { step: "sending", since: performance.now() });
  draw(row);
  const { stop } = row;
  try {
    const { video_id: id } = await send(row.file, {
      bucket: row.bucket,
      kept: row.kept,
      signal: stop.signal,
      seen(bytes) {
        Object.assign(row, { sent: bytes, step: "sending" });
        soon(row);
      },
      waits(seconds) {
        Object.assign(row, { step: "again", wait: seconds });
        draw(row);
      },
    });
    Object.assign(row, { step: "processing", sent: row.file.size, video: { id, status: "queued", stage: "uploaded" }, kept: {} });
    draw(row);
    follow(id, { signal: stop.signal, tell: (video) => processed(row, video), lost: (error) => fail(row, sentence(error)) });
  } catch (error) {
    if (!stop.signal.aborted) fail(row, sentence(error));
  }
  pump();
}

function processed(row, video) {
  row.video = video;
  if (video.status === "failed") fail(row, video.failure?.message || t("up.stage.failed"));
  else {
    if (video.status === "indexed") {
      row.step = "ready";
      say(t("up.ready", { title: video.title ?? row.file.name }));
    }
    draw(row);
  }
}

function fail(row, reason, again = true) {
  Object.assign(row, { step: "failed", reason, again });
  say(t("up.lost", { title: row.file.name, reason }));
  draw(row);
}

/** Cancels what runs, removes what is over. What is being processed goes on without this page. */
function end(row) {
  row.stop.abort(new DOMException("cancelled", "AbortError"));
  const cancelled = running(row);
  if (cancelled) Object.assign(row, { step: "failed", reason: t("up.cancelled"), again: true });
  if (cancelled) draw(row);
  else {
    const at = rows.indexOf(row);
    rows.splice(at, 1);
    row.node.remove();
    (rows[Math.min(at, rows.length - 1)]?.node.querySelector(".end") ?? $("files")).focus();
    summary();
  }
  pump();
}

// ---------------------------------------------------------------------------------------------- drawing

const soon = (row) => {
  row.drawing ||= requestAnimationFrame(() => { row.drawing = 0; draw(row); });
};

function draw(row) {
  const { node, step, video } = row;
  const title = video?.title ?? row.file.name;
  node.className = `row-upload ${step}`;
  node.querySelector(".name").textContent = title;
  const bar = node.querySelector(".transfer");
  const processing = step === "processing" || step === "ready";
  bar.setAttribute("aria-label", t(processing ? "up.stages" : "up.progress", { title }));
  if (processing) bar.value = step === "ready" ? 1 : part(video);
  else bar.value = row.file.size ? row.sent / row.file.size : 0;
  node.querySelector(".stage").textContent = state(row);
  node.querySelector(".rate").textContent = step === "sending" ? rate(row) : "";
  node.querySelector(".retry").hidden = !(step === "failed" && row.again);
  node.querySelector(".acts").hidden = step !== "ready" && step !== "failed";
  const end = node.querySelector(".end");
  end.setAttribute("aria-label", `${t(running(row) ? "up.cancel" : "up.remove")}: ${title}`);
  end.title = t(running(row) ? "up.cancel" : "up.remove");
  const watch = node.querySelector(".watch");
  const similar = node.querySelector(".similar");
  watch.hidden = similar.hidden = step !== "ready";
  if (step === "ready") {
    watch.href = `/?play=${video.id}`;
    similar.href = `/?like=${video.id}`;
    const image = node.querySelector("img");
    if (image.hidden) show(image, video.links?.thumbnail ?? `/videos/${video.id}/thumbnail`);
    image.hidden = false;
  }
  summary();
}

/** Of the processing, as far as it is told. */
function part({ status, stage, progress }) {
  if (status === "indexed") return 1;
  if (stage === "embedding") return 0.9;
  return progress?.total ? 0.1 + 0.8 * (progress.done / progress.total) : 0.05;
}

function state(row) {
  const { step, file, sent, video, reason, wait } = row;
  if (step === "failed") return reason;
  if (step === "waiting") return t("up.waiting");
  if (step === "again") return t("up.again", { n: wait });
  if (step === "sending") return t("up.sending", { done: size(sent), size: size(file.size) });
  const stage = video.status === "indexed" ? "indexed" : video.stage ?? video.status; // an older server tells the status only
  const { done, total, ranges } = video.progress ?? {};
  if (stage === "decoding" && ranges) {
    return t("up.stage.decoding.ranges", { done: clock(done), total: clock(total), n: ranges.done, m: ranges.total });
  }
  if (stage === "decoding" && total) return t("up.stage.decoding.of", { done: clock(done), total: clock(total) });
  return t(`up.stage.${STAGES.includes(stage) ? stage : "decoding"}`);
}

function rate({ sent, since, file }) {
  const seconds = (performance.now() - since) / 1000;
  if (seconds < 1 || !sent) return "";
  return t("up.rate", { rate: size(sent / seconds), left: clock(((file.size - sent) * seconds) / sent) });
}

function size(bytes) {
  const language = document.documentElement.lang;
  const steps = [["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3], ["byte", 1]];
  const [unit, one] = steps.find(([, least]) => bytes >= least) ?? steps.at(-1);
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: one >= 1e6 ? 1 : 0 }).format(bytes / one);
}

function summary() {
  $("uploads").hidden = !rows.length;
  const ready = rows.filter((row) => row.step === "ready").length;
  const text = t("up.summary", { ready, n: rows.length });
  if ($("summary").textContent !== text) $("summary").textContent = text; // it is read aloud
}

function say(text) {
  $("said").textContent = text;
}

// ------------------------------------------------------------------------------------------------- page

function drawBuckets() {
  $("bucket").replaceChildren(...session.buckets.map((name) => new Option(name, name)));
  $("buckets").hidden = session.buckets.length < 2;
}

setUpLanguage();
enter(["producer", "admin"]).then(drawBuckets);
onLanguage(() => {
  for (const row of rows) {
    translate(row.node);
    draw(row);
  }
});
$("files").addEventListener("change", ({ target }) => {
  add(target.files);
  target.value = "";
});

let depth = 0; // dragenter and dragleave also come from what is inside
const holdsFiles = (e) => e.dataTransfer?.types.includes("Files");
const over = (is) => $("drop").classList.toggle("over", is);
addEventListener("dragenter", (e) => { if (holdsFiles(e)) { depth += 1; over(true); } });
addEventListener("dragleave", (e) => { if (holdsFiles(e)) { depth -= 1; over(depth > 0); } });
addEventListener("dragover", (e) => { if (holdsFiles(e)) e.preventDefault(); });
addEventListener("drop", (e) => {
  if (!holdsFiles(e)) return;
  e.preventDefault();
  depth = 0;
  over(false);
  add(e.dataTransfer.files);
});
addEventListener("beforeunload", (e) => { if (rows.some(running)) e.preventDefault(); });
