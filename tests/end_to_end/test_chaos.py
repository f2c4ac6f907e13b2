"""A few kills at random; ``python -m tests.chaos`` is the long run."""

from __future__ import annotations

from pathlib import Path

from support.chaos import run_chaos


def test_nothing_acknowledged_is_lost_or_doubled_when_parts_are_killed(tmp_path: Path) -> None:
    account = run_chaos(tmp_path, kills=5, seed=1)
    assert account.lost == []
    assert account.duplicates == []
    assert account.audit_chain == "intact"
    assert account.tracklets > 10
    assert min(account.feedback, account.subjects, account.cases, account.notes, account.audit_entries) > 3
