// An item counts as shown when half of it was in sight for a second.

import { event, note } from "./events.js";

const LOOK_MS = 1000;
const timers = new Map();
let about = null;

const observer = new IntersectionObserver((entries) => {
  for (const { target, intersectionRatio } of entries) {
    clearTimeout(timers.get(target));
    timers.delete(target);
    if (intersectionRatio >= 0.5) timers.set(target, setTimeout(() => seen(target), LOOK_MS));
  }
}, { threshold: 0.5 });

function seen(node) {
  timers.delete(node);
  if (document.hidden || !node.isConnected) return;
  observer.unobserve(node);
  const found = about(node.dataset.id);
  if (found?.user && found.item) note(event(found.user, found.item, "impression"));
}

export const impressions = {
  /** `find(id)` gives {user, item} of a card. */
  setUp(find) { about = find; },

  watch(list) {
    for (const node of list.querySelectorAll(".card:not([data-observed])")) {
      node.dataset.observed = "";
      observer.observe(node);
    }
  },
};
