"""From the use cases' values to JSON. Plain dictionaries: the models of `schemas.py` would cost more than the request's
other work in Python together."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import Response
from pydantic_core import to_json

from vidrec.application.events import Recorded
from vidrec.application.explain import Item, Why
from vidrec.application.links import MediaLinks
from vidrec.application.ports import Receipt
from vidrec.application.profiles import ShownProfile
from vidrec.application.recommend import Page
from vidrec.domain.access import Caller, Role
from vidrec.domain.models import ModelVersion, RecommendationRecord, TimeRange, Video
from vidrec.domain.playback import playable
from vidrec.domain.uploads import VideoProgress, progress_of
from vidrec.model.published import BETTER_WEIGHTS

Json = dict[str, Any]

UNTRAINED = (
    f"The model is untrained: it sees colour, texture and layout, but not meaning. Better weights: {BETTER_WEIGHTS}"
)
_PICTURES = {"thumbnail": "thumbnail", "segment_picture": "segments"}
_WATCHED = ("stream", "download")
NOTHING_INDEXED = "Nothing is indexed yet. Take in videos: vidrec ingest FOLDER"


def answer(value: Json, status: int = 200) -> Response:
    """The JSON answer."""
    return Response(to_json(value), status, media_type="application/json")


class Answers:
    """Builds answers whose links start with `base`: empty, or the address at which clients reach the API. With
    `signed`, links to media work without a key for a while."""

    def __init__(self, base: str, signed: MediaLinks | None = None, *, watchable: bool = True) -> None:
        self._base = base.rstrip("/")
        self._signed = signed
        self._watchable = watchable
        self._reduced = Answers(base, signed, watchable=False) if signed is not None and watchable else self

    def to(self, caller: Caller) -> Answers:
        """Those for this caller: producers see pictures of videos, and must not hand out the videos."""
        return self._reduced if caller.role is Role.PRODUCER else self

    def recommendation(self, page: Page, model: ModelVersion | None) -> Json:
        notice = None
        if model is not None and not model.trained:
            notice = UNTRAINED
        elif model is None and not page.degraded:
            notice = NOTHING_INDEXED
        return {
            "recommendation_id": page.recommendation_id,
            "userid": page.user_id,
            "strategy": page.strategy,
            "degraded": page.degraded,
            "model": None if model is None else _model(model),
            "notice": notice,
            "items": [self.item(item) for item in page.items],
            "next_cursor": page.next_cursor,
        }

    def item(self, item: Item) -> Json:
        video = item.video
        return {
            "id": video.id,
            "external_id": video.external_id,
            "title": video.title,
            "duration_s": None if video.media is None else video.media.duration_s,
            "segment_count": video.segment_count,
            "score": round(item.score, 6),
            "playable": playable(video),
            "why": self._why(video, item.why),
            "links": self._links(video),
        }

    def video(self, video: Video, progress: VideoProgress | None = None) -> Json:
        media = video.media
        now = progress or progress_of(video.status, None)
        return {
            "id": video.id,
            "external_id": video.external_id,
            "title": video.title,
            "status": video.status,
            "category": video.category,
            "tags": video.tags,
            "duration_s": None if media is None else media.duration_s,
            "available": video.available,
            "playable": playable(video),
            "failure": failure_answer(video),
            "filename": video.filename,
            "size_bytes": video.size_bytes,
            "url": video.url,
            "media": None
            if media is None
            else {
                "container": media.container,
                "video_codec": media.video_codec,
                "audio_codec": media.audio_codec,
                "width": media.width,
                "height": media.height,
            },
            "segment_count": video.segment_count,
            "stage": now.stage,
            "progress": progress_answer(now),
            "created_at": video.created_at,
            "indexed_at": video.indexed_at,
            "links": self._links(video)
            | {"events": f"{self._base}/videos/{video.id}/events{self._query(video, 'events')}"},
        }

    def profile(self, profile: ShownProfile) -> Json:
        user = quote(profile.user_id, safe="")
        return {
            "userid": profile.user_id,
            "model_version": profile.model_version,
            "interests": [
                {
                    "number": number,
                    "importance": round(shown.interest.importance, 6),
                    "videos": [
                        {"id": v.id, "external_id": v.external_id, "title": v.title, "links": self._links(v)}
                        for v in shown.videos
                    ],
                    "links": {
                        "remove": f"{self._base}/users/{user}/interests/{number}?video_id={shown.interest.video_id}"
                    },
                }
                for number, shown in enumerate(profile.interests)
            ],
        }

    def receipt(self, receipt: Receipt) -> Json:
        return {
            "receipt_id": receipt.id,
            "kind": receipt.kind,
            "subject": receipt.subject,
            "status": "completed" if receipt.completed_at else "remaining" if receipt.remaining else "pending",
            "requested_at": receipt.requested_at,
            "completed_at": receipt.completed_at,
            "probe": None
            if receipt.looked_at is None
            else {
                "looked_at": receipt.looked_at,
                "probes": receipt.probes,
                "found": receipt.remaining,
                "looks": [{"store": one.store, "place": one.place, "found": one.found} for one in receipt.looks],
            },
            "links": {"self": f"{self._base}/receipts/{receipt.id}"},
        }

    def _why(self, video: Video, why: Why) -> Json:
        if why.type != "similar":
            return {"type": why.type}
        watched = why.watched
        return {
            "type": why.type,
            "watched": None
            if watched is None
            else {
                "id": watched.id,
                "external_id": watched.external_id,
                "title": watched.title,
                "moment": self._moment(watched, why.watched_segment, why.watched_moment),
                "links": self._links(watched),
            },
            "moment": self._moment(video, why.segment, why.moment),
            "similarity": None if why.similarity is None else round(why.similarity, 6),
        }

    def _moment(self, video: Video, number: int | None, time: TimeRange | None) -> Json | None:
        if time is None:
            return None
        # The segments of an answer are those of its model version, also when another one is active by now.
        version = None if video.indexed_model is None else f"model={video.indexed_model}"
        return {
            "start_s": round(time.start_s, 3),
            "end_s": round(time.end_s, 3),
            "picture": f"{self._base}/videos/{video.id}/segments/{number}/picture"
            + self._query(video, "segments", version),
        }

    def _links(self, video: Video) -> Json:
        address = f"{self._base}/videos/{video.id}"
        links = {
            "self": address,
            "thumbnail": f"{address}/thumbnail",
            "segment_picture": f"{address}/segments/{{number}}/picture",
            "stream": f"{address}/stream",
            "download": f"{address}/download",
            "similar": f"{address}/similar",
        }
        if self._signed is not None:
            for name in _PICTURES:
                links[name] += self._query(video, _PICTURES[name])
            for name in _WATCHED if self._watchable else ():
                links[name] += self._query(video, name)
        return links

    def _query(self, video: Video, link: str, more: str | None = None) -> str:
        """What makes a link to this, below the video, work by itself, after `more` parameters."""
        signed = None if self._signed is None else self._signed.query(f"/videos/{video.id}/{link}")
        query = "&".join(filter(None, (more, signed)))
        return f"?{query}" if query else ""


def progress_answer(progress: VideoProgress) -> Json | None:
    """How much of the video was decoded; None where that is not what is done."""
    if progress.done is None:
        return None
    ranges = None
    if progress.ranges_total is not None:
        ranges = {"done": progress.ranges_done, "total": progress.ranges_total}
    return {"done": progress.done, "total": progress.total, "ranges": ranges}


def failure_answer(video: Video) -> Json | None:
    """Why it cannot be indexed; None where it can."""
    if video.failure_reason is None:
        return None
    return {"reason": video.failure_reason, "message": video.failure_message or ""}


def accepted(recorded: Recorded) -> Json:
    """The answer to a batch of events."""
    return {"accepted": recorded.accepted, "repeated": recorded.repeated, "dropped": recorded.dropped}


def record(record: RecommendationRecord) -> Json:
    """What a recommendation was made from."""
    return {
        "recommendation_id": record.id,
        "userid": record.user_id,
        "created_at": record.created_at,
        "strategy": record.strategy,
        "degraded": record.degraded,
        "model_version": record.model_version or None,
        "code_version": record.code_version,
        "interaction_cutoff": record.interaction_cutoff,
        "parameters": record.parameters,
        "interests": record.interests,
        "candidates": [
            {"id": c.video_id, "score": c.score, "source": c.source, "interest": c.interest}
            for c in record.candidates
            if c.video_id  # else erased since
        ],
    }


def _model(model: ModelVersion) -> Json:
    return {"version": model.version, "name": model.name, "trained": model.trained}
