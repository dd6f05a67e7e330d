"""The patience of a request: what its waits may take in all."""

from __future__ import annotations

import time

from vidrec.application.deadline import waiting, waiting_at_most


def test_waits_draw_from_what_is_left_and_other_time_does_not() -> None:
    with waiting_at_most(0.2):
        time.sleep(0.3)  # a slow client
        with waiting(5.0) as first:
            time.sleep(0.05)
        with waiting(5.0) as second:
            time.sleep(0.2)
        with waiting(5.0) as third:
            pass
    assert first == 0.2
    assert second <= 0.15
    assert 0 < third <= 0.01


def test_a_wait_that_asks_for_less_gets_that() -> None:
    with waiting_at_most(5.0), waiting(0.5) as given:
        assert given == 0.5


def test_where_nothing_was_said_all_is_given() -> None:
    with waiting(60.0) as given:
        assert given == 60.0
