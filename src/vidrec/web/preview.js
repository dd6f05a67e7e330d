// Frames along the video while the pointer rests on its picture, or the keyboard is on it.

const MOST = 9;
const OF_EACH = 3; // frames that are kept of a segment; asked for more, the API gives the last one
const WAIT_MS = 150;
const STEP_MS = 700;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** `play`: the card's button with `.frame` and `.bar` in it. */
export function previewOnHover(play, item) {
  const segments = item.segment_count ?? 0;
  if (!segments) return;
  const frame = play.querySelector(".frame");
  const bar = play.querySelector(".bar");
  const frames = segments * OF_EACH;
  const many = Math.min(frames, MOST);
  const address = (i) => {
    const at = Math.floor(((i + 0.5) * frames) / many);
    const link = item.links.segment_picture.replace("{number}", Math.floor(at / OF_EACH));
    return `${link}${link.includes("?") ? "&" : "?"}position=${at % OF_EACH}`;
  };
  let timer = 0;
  let turn = 0;

  async function put(i) {
    const mine = ++turn;
    const image = new Image();
    image.src = address(i);
    try { await image.decode(); } catch { return; }
    if (mine !== turn) return; // the pointer left, or went on
    frame.src = image.src;
    frame.hidden = bar.hidden = false;
    bar.style.width = `${(100 * (i + 1)) / many}%`;
  }

  function run() {
    if (timer || calm.matches) return;
    let i = 0;
    timer = setTimeout(async function step() {
      await put(i % many);
      i += 1;
      if (timer) timer = setTimeout(step, STEP_MS);
    }, WAIT_MS);
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
    turn += 1;
    frame.hidden = bar.hidden = true;
  }

  play.addEventListener("pointerenter", (e) => { if (e.pointerType !== "touch") run(); });
  play.addEventListener("pointermove", (e) => {
    // Whoever asked for less motion moves through the frames by hand.
    if (!calm.matches || e.pointerType === "touch") return;
    const box = play.getBoundingClientRect();
    put(Math.min(many - 1, Math.max(0, Math.floor(((e.clientX - box.left) / box.width) * many))));
  });
  play.addEventListener("pointerleave", stop);
  play.addEventListener("focus", () => { if (play.matches(":focus-visible")) run(); });
  play.addEventListener("blur", stop);
}
