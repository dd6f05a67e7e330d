"""The upload routes, played for a page: what is sent goes nowhere, and the stages are those that a test sets."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, Route


class Store:
    """Answers what the page asks while it uploads."""

    def __init__(self, page: Page, video: dict[str, Any]) -> None:
        self.page = page
        self.video = video
        self.asked: list[str] = []
        self.bodies: dict[str, int] = {}
        self.refuse: dict[str, list[int]] = {}
        """Statuses that a path answers first."""
        self.stages: list[dict[str, Any]] = [
            {"status": "queued", "stage": "queued", "progress": None},
            {"status": "processing", "stage": "decoding", "progress": {"done": 1, "total": 4}},
            {"status": "processing", "stage": "embedding", "progress": None},
            {"status": "indexed", "stage": "indexed", "progress": None},
        ]
        self.streams = True
        page.route("**/presigned_for_upload/**", self._presigned)
        page.route("**/uploads", self._create)
        page.route("**/uploads/*/*", self._parts)
        page.route("**/store/**", self._store)
        page.route(f"**/videos/{video['id']}/events", self._events)
        page.route(f"**/videos/{video['id']}", self._video)

    def _refused(self, route: Route, name: str) -> bool:
        self.asked.append(name)
        if not self.refuse.get(name):
            return False
        status = self.refuse[name].pop(0)
        route.fulfill(status=status, json={"status": status, "detail": f"the store says {status}"})
        return True

    def _presigned(self, route: Route) -> None:
        if not self._refused(route, "presigned"):
            route.fulfill(
                json={
                    "PresignedURL": "/store/whole?signature=x",
                    "video_id": self.video["id"],
                    "status_url": f"/videos/{self.video['id']}",
                    "method": "PUT",
                    "headers": {"Content-Type": "video/webm", "If-None-Match": "*"},
                    "expires_at": "2030-01-01T00:00:00Z",
                }
            )

    def _create(self, route: Route) -> None:
        self.asked.append("create")
        route.fulfill(json={"upload_id": "u1", "video_id": self.video["id"], "part_size": 32 << 20, "status_url": "x"})

    def _parts(self, route: Route) -> None:
        if route.request.url.endswith("/complete"):
            self.asked.append("complete")
            route.fulfill(status=202, json={"video_id": self.video["id"], "status_url": "x"})
            return
        [number] = json.loads(route.request.post_data or "")["numbers"]
        part = {"number": number, "url": f"/store/{number}", "method": "PUT", "headers": {}}
        route.fulfill(json={"parts": [part]})

    def _store(self, route: Route) -> None:
        name = route.request.url.split("/store/")[1].split("?")[0]
        if not self._refused(route, name):
            assert route.request.method == "PUT"
            route.fulfill(status=200, body="")

    def _events(self, route: Route) -> None:
        if not self.streams:
            route.fulfill(status=404, json={"status": 404, "detail": "no"})
            return
        told = [f"event: stage\ndata: {json.dumps({**self.video, **stage})}\n\n" for stage in self.stages]
        route.fulfill(content_type="text/event-stream", body="".join(told))

    def _video(self, route: Route) -> None:
        stage = self.stages.pop(0) if len(self.stages) > 1 else self.stages[0]
        route.fulfill(json={**self.video, **stage})
