"""How many viewers can be served? Each asks for recommendations, pages through them, watches and likes, and asks again.

    locust -f loadtest/recommend.py --headless --users 50 --spawn-rate 10 --run-time 1m --host http://127.0.0.1:3000

Exits with 1 where a request failed. VIEWERS bounds how many user ids there are (default 1000).
VIDREC_API_KEY: a consumer key where the API asks for one; make it with `--rate-per-minute 0`.
"""

from __future__ import annotations

import os
import random

from locust import FastHttpUser, between, task

KEY = os.environ.get("VIDREC_API_KEY", "")
VIEWERS = int(os.environ.get("VIEWERS", "1000"))


class Viewer(FastHttpUser):
    """A viewer with a history that grows while the test runs."""

    wait_time = between(0.1, 1.0)
    default_headers = {"Authorization": f"Bearer {KEY}"} if KEY else None

    def on_start(self) -> None:
        self.userid = f"viewer-{random.randrange(VIEWERS)}"

    @task
    def watch_something(self) -> None:
        page = self._recommend({"userid": self.userid, "n": "20"}, "/recommend")
        if page and page["next_cursor"] and random.random() < 0.3:
            query = {"userid": self.userid, "n": "20", "cursor": page["next_cursor"]}
            page = self._recommend(query, "/recommend (next page)") or page
        if page and page["items"]:
            self._watch(random.choice(page["items"][:5])["id"], page["recommendation_id"])

    @task
    def look_for_more_like_it(self) -> None:
        page = self._recommend({"userid": self.userid, "n": "1"}, "/recommend")
        if page and page["items"]:
            self.client.get(f"/videos/{page['items'][0]['id']}/similar?n=10", name="/videos/{id}/similar")

    def _recommend(self, query: dict[str, str], name: str) -> dict | None:
        with self.client.get("/recommend", params=query, name=name, catch_response=True) as answer:
            page = answer.json() if answer.status_code == 200 else {}
            if "items" in page:
                return dict(page)
            answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
            return None

    def _watch(self, video_id: str, recommendation_id: str) -> None:
        event = {"user_id": self.userid, "video_id": video_id, "recommendation_id": recommendation_id}
        watched = {**event, "type": "watch", "fraction": random.uniform(0.1, 1.0)}
        events = [watched, *([{**event, "type": "like"}] if random.random() < 0.2 else [])]
        self.client.post("/events", json=events)
