"""Exports of cases made through the API, for the tests of what is in them and of who may have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from support.cameras import wait_for

JSON = dict[str, Any]


def case_with(api: TestClient, *tracklets: str, title: str = "A case", headers: Any = None, **pinned: Any) -> str:
    """A new case with sightings pinned; its path."""
    answer = api.post("/api/v1/cases", json={"title": title}, headers=headers)
    assert answer.status_code == 201, answer.text
    path = f"/api/v1/cases/{answer.json()['id']}"
    if tracklets or pinned:
        done = api.post(f"{path}/pins", json={"tracklet_ids": list(tracklets), **pinned}, headers=headers)
        assert done.status_code == 200, done.text
    return path


def begun(api: TestClient, case: str, *, reason: str = "a test", headers: Any = None, **more: Any) -> JSON:
    """An export that was asked for."""
    answer = api.post(f"{case}/exports", json={"reason": reason, **more}, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    found: JSON = answer.json()
    return found


def state_of(api: TestClient, case: str, export: JSON, headers: Any = None) -> str:
    return str(api.get(f"{case}/exports/{export['id']}", headers=headers).json()["state"])


def ended(api: TestClient, case: str, export: JSON, headers: Any = None) -> JSON:
    """The same when it is over, either way."""
    wait_for(lambda: state_of(api, case, export, headers) not in ("queued", "running"), 60, "the export")
    found: JSON = api.get(f"{case}/exports/{export['id']}", headers=headers).json()
    return found


def fetched(api: TestClient, case: str, export: JSON, file: Path, headers: Any = None) -> Path:
    """Its ZIP, in a file."""
    answer = api.get(f"{case}/exports/{export['id']}/file", headers=headers)
    assert answer.status_code == 200, answer.text
    file.write_bytes(answer.content)
    return file
