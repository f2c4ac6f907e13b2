"""What a camera's changes of state come to, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.dashboard.interruptions import availability
from service.dashboard.wording import Clock
from service.history.cameras import StateChange

UNTIL = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SINCE = UNTIL - timedelta(hours=10)


def change(hour: float, state: str) -> StateChange:
    return StateChange(SINCE + timedelta(hours=hour), state)


@pytest.mark.parametrize(
    ("changes", "share", "told"),
    [
        ([], None, "No worker has followed it yet"),
        ([change(-1, "live")], 1.0, "100% live, no interruption"),
        ([change(-1, "live"), change(4, "reconnecting"), change(5, "live")], 0.9, "90.0% live, 1 interruption, 1 h"),
        ([change(2, "disabled"), change(6, "live")], 1.0, "100% live, no interruption"),
    ],
    ids=["never seen", "always live", "away for an hour", "switched off is not away"],
)
def test_changes_are_summed_up(changes: list[StateChange], share: float | None, told: str) -> None:
    found = availability(changes, SINCE, UNTIL, Clock.of("UTC", 0))
    assert found.share == share
    assert found.told.startswith(told)
