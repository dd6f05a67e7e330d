// Pictures to search by: a file, made small before it travels, or the frame that a video shows.

import { t } from "./i18n.js";
import { Refused } from "./api.js";

const SIDE = 640; // the encoder sees 224 pixels

/** A small JPEG of the picture; the file itself where this browser cannot read it: the server may. */
export async function shrink(file) {
  try {
    const bitmap = await createImageBitmap(file);
    return await draw(bitmap, bitmap.width, bitmap.height);
  } catch {
    return file;
  }
}

export async function frameOf(video) {
  if (video.readyState < 2 || !video.videoWidth) throw new Refused(t("error.frame"));
  try {
    return await draw(video, video.videoWidth, video.videoHeight);
  } catch {
    throw new Refused(t("error.frame")); // the bytes came from an origin that does not share them
  }
}

function draw(source, width, height) {
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("empty"))), "image/jpeg", 0.9));
}
