"""Counts that begin anew after a while."""

from __future__ import annotations

import time
from typing import Any

from service.security.windows import count_in_window

KEY = "tapetum:rate:somebody"


def test_a_window_ends_when_it_said_at_its_begin(redis_server: Any) -> None:
    client = redis_server.client()
    assert count_in_window(client, KEY, 60) == (1, 60)
    client.expire(KEY, 7)  # most of it has gone by
    assert count_in_window(client, KEY, 60) == (2, 7)
    client.decr(KEY, 2)  # all given back: still the same window
    assert count_in_window(client, KEY, 60) == (1, 7)
    client.pexpire(KEY, 1)
    time.sleep(0.02)
    assert count_in_window(client, KEY, 60) == (1, 60)


def test_a_counter_that_would_stay_for_ever_gets_an_end(redis_server: Any) -> None:
    client = redis_server.client()
    client.set(KEY, 41)
    assert count_in_window(client, KEY, 60) == (42, 60)
    assert client.ttl(KEY) == 60
