"""Calls of the command line to a running installation over its REST API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

__all__ = ["Login", "RemoteError", "search_by_photo"]


@dataclass(frozen=True, slots=True)
class Login:
    """An account with its password, or an API token, which goes first."""

    account: str
    password: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class RemoteError(RuntimeError):
    """The installation cannot be reached or refused; the message is the API's own sentence."""


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        problem = response.json()
        raise RemoteError(problem.get("detail") or problem.get("title") or f"HTTP {response.status_code}")
    except ValueError:
        raise RemoteError(f"HTTP {response.status_code} from {response.request.url}") from None


def search_by_photo(
    address: str,
    login: Login,
    photo: Path,
    *,
    person: int | None,
    k: int,
    filters: Mapping[str, Any],
    reason: str | None = None,
) -> dict[str, Any]:
    """Log in, upload the photo, choose the person, search.

    Proxies of the environment are not used: password and token are for the installation alone.
    With several persons in the photo and no choice made, raises RemoteError that lists them.
    """
    with httpx.Client(base_url=f"{address}/api/v1", timeout=120, trust_env=False) as client:
        try:
            token = login.token
            if token is None:
                credentials = {"account": login.account, "password": login.password}
                token = _answer(client.post("/session", json=credentials))["token"]
            client.headers["Authorization"] = f"Bearer {token}"
            with photo.open("rb") as file:
                found = _answer(client.post("/photos", files={"photo": (photo.name, file)}))
            persons = found["persons"]
            if person is None and len(persons) > 1:
                places = "; ".join(f"{p['index']} at {[round(v) for v in p['box']]}" for p in persons)
                raise RemoteError(f"{len(persons)} persons in the photo, choose one with --person: {places}")
            if not persons:
                raise RemoteError("nobody was found in the photo")
            index = persons[0]["index"] if person is None else person
            body = {
                "examples": [{"photo_id": found["id"], "person": index}],
                "k": k,
                "filters": {name: value for name, value in filters.items() if value},
                "reason": reason,
            }
            result: dict[str, Any] = _answer(client.post("/search", json=body))
            return result
        except httpx.TransportError as error:
            raise RemoteError(f"no answer from {address}: {error}") from None
