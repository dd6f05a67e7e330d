"""Users of the demo library and what they watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from vidrec.demo.library import family_members
from vidrec.domain.models import Interaction, InteractionType

WATCHED_A_FAMILY = 3
DEMO_USERS: Mapping[str, Sequence[str]] = {
    "mina": ("sea", "forest"),
    "jun": ("fractals", "cells"),
    "sora": ("city", "fire"),
    "demo": ("balls",),
}
"""User -> the families they watch."""


def demo_interactions(video_ids: Mapping[str, str], *, now: datetime) -> list[Interaction]:
    """What the demo users did, given external id -> video id; the same event ids every time, so that adding them twice
    is adding them once."""
    interactions = []
    for user, families in DEMO_USERS.items():
        watched = [member for family in families for member in family_members(family)[:WATCHED_A_FAMILY]]
        for i, external_id in enumerate(e for e in watched if e in video_ids):
            liked = i % WATCHED_A_FAMILY == 0
            interactions.append(
                Interaction(
                    user_id=user,
                    video_id=video_ids[external_id],
                    type=InteractionType.LIKE if liked else InteractionType.WATCH,
                    ts=now - timedelta(hours=len(watched) - i),
                    event_id=f"demo-{user}-{external_id}",
                    fraction=None if liked else 0.9,
                )
            )
    return interactions
