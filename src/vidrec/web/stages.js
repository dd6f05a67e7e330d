// How far a video is on its way to being recommendable: told by the server, or asked for again and again.

import { api } from "./api.js";

const EVERY_MS = 1500;
const GIVE_UP = 40; // failures in a row: a minute
const LAST = ["indexed", "failed"];

/** Calls `tell(video)` with every change until it is indexed or failed, or `signal` says so. */
export function follow(id, { signal, tell, lost }) {
  let over = false;
  const told = (video) => {
    if (over || signal.aborted) return;
    over = LAST.includes(video.status);
    tell(video);
  };

  const source = new EventSource(`/videos/${encodeURIComponent(id)}/events`);
  source.addEventListener("stage", (e) => {
    const { stage, progress } = JSON.parse(e.data);
    if (!LAST.includes(stage)) return told({ id, stage, progress });
    source.close();
    poll(0); // what is told at the end needs the whole video: its title, picture, failure
  });
  source.addEventListener("error", () => {
    source.close(); // a proxy may not let it through; asking always works
    poll(0);
  }, { once: true });
  signal.addEventListener("abort", () => source.close(), { once: true });

  async function poll(failures) {
    if (over || signal.aborted) return;
    let failed = failures;
    try {
      told(await api.video(id));
      failed = 0;
    } catch (error) {
      failed += 1;
      if (error.status === 404 || failed >= GIVE_UP) {
        lost(error);
        return;
      }
    }
    if (!over) setTimeout(() => poll(failed), EVERY_MS);
  }
}
