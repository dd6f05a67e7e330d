"""GET /users/{id}/profile and the removal of an interest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.conftest import System
from vidrec.api.profile_schemas import ProfileOut


def kinds(profile: dict[str, Any]) -> list[str]:
    """The family that each interest stands for."""
    return [interest["videos"][0]["external_id"].partition("-")[0] for interest in profile["interests"]]


@pytest.fixture
def watched(system: System) -> System:
    for name, weight in (("sea", 0.9), ("forest", 0.4)):
        for number in (1, 2, 3):
            event = {"user_id": "a/n", "external_id": f"{name}-{number}", "type": "watch", "fraction": weight}
            system.post_events(event)
    return system


def test_a_profile_shows_the_interests_with_their_pictures(watched: System) -> None:
    profile = watched.get("/users/a%2Fn/profile")
    ProfileOut.model_validate(profile)
    assert profile["userid"] == "a/n"
    assert kinds(profile) == ["sea", "forest"]
    assert [interest["number"] for interest in profile["interests"]] == [0, 1]
    assert sum(interest["importance"] for interest in profile["interests"]) == pytest.approx(1, abs=1e-5)
    for interest in profile["interests"]:
        names = [video["external_id"] for video in interest["videos"]]
        assert len(set(names)) == len(names) == 3
        assert all(video["links"]["thumbnail"].endswith("/thumbnail") for video in interest["videos"])


def test_of_a_user_of_whom_nothing_is_known_there_are_no_interests(system: System) -> None:
    assert system.get("/users/nobody/profile")["interests"] == []


def test_a_removed_interest_stays_away(watched: System) -> None:
    before = watched.get("/users/a%2Fn/profile")
    assert watched.client.request("DELETE", before["interests"][0]["links"]["remove"]).status_code == 204
    assert kinds(watched.get("/users/a%2Fn/profile")) == ["forest"]
    for number in (4, 5):
        watched.post_events({"user_id": "a/n", "external_id": f"sea-{number}", "type": "watch", "fraction": 1.0})
    assert kinds(watched.get("/users/a%2Fn/profile")) == ["forest"]
    answer = watched.get("/recommend", userid="a/n", n=4)
    assert {item["external_id"].partition("-")[0] for item in answer["items"]} == {"forest"}


def test_an_interest_that_is_not_there(watched: System) -> None:
    missing = watched.client.request("DELETE", "/users/a%2Fn/interests/2")
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "the user has 2 interests, numbered from 0: there is no 2",
    )
    forest = watched.get("/users/a%2Fn/profile")["interests"][1]["videos"][0]["id"]
    assert watched.client.request("DELETE", f"/users/a%2Fn/interests/0?video_id={forest}").status_code == 409
    assert kinds(watched.get("/users/a%2Fn/profile")) == ["sea", "forest"]
    assert watched.client.request("DELETE", "/users/a%2Fn/interests/x").status_code == 422
