"""API tokens: shown once, kept as hashes, never wider than their owner, and gone when they should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import PASSWORD, World, bearer, client_of, world_in

from service.audit import AuditLog, Trail
from service.security import Access, AccountMissing, AccountStore, Role, TokenError, TokenStore
from service.security.people import People

GOOD = "correct horse battery"
Stores = tuple[Any, AccountStore, TokenStore]


@pytest.fixture
def stores(redis_server: Any) -> Stores:
    client = redis_server.client()
    accounts = AccountStore(client)
    accounts.add("boss", GOOD, Role.ADMIN)
    return client, accounts, TokenStore(client, accounts)


def access(tokens: TokenStore, secret: str) -> Access | None:
    found = tokens.find(secret)
    return found[1] if found else None


def test_the_secret_is_nowhere(stores: Stores) -> None:
    client, accounts, tokens = stores
    owner = accounts.add("desk", GOOD, Role.OPERATOR, ["gate", "hall"])
    secret, token = tokens.add(owner, "report", days=30)
    stored = b"".join(client.hvals("tapetum:tokens")) + b"".join(client.hkeys("tapetum:tokens"))
    assert secret.encode() not in stored
    assert secret not in repr(token)
    assert token.digest not in repr(token)
    found = access(tokens, secret)
    assert found is not None
    assert (found.account, found.role, found.cameras, found.token) == (
        "desk", Role.OPERATOR, frozenset({"gate", "hall"}), "report",
    )  # fmt: skip
    assert tokens.list("desk")[0].last_used_at is not None
    for wrong in (secret[:-1], secret + "A", secret.upper(), secret.replace("tapetum_", ""), "", "\0", "ä" * 51):
        assert tokens.find(wrong) is None


@pytest.mark.parametrize(
    "wider",
    [{"role": Role.ADMIN}, {"cameras": ["vault"]}, {"cameras": ["gate", "vault"]}, {"days": 0}, {"days": 367},
     {"days": -1}, {"days": float("nan")}, {"days": float("inf")}],
)  # fmt: skip
def test_nothing_wider_than_the_owner(stores: Stores, wider: dict[str, Any]) -> None:
    _, accounts, tokens = stores
    owner = accounts.add("desk", GOOD, Role.OPERATOR, ["gate", "hall"])
    with pytest.raises(TokenError):
        tokens.add(owner, "x", **{"days": 1, **wider})
    assert tokens.list() == []


def test_a_token_narrows_with_its_owner(stores: Stores) -> None:
    _, accounts, tokens = stores
    owner = accounts.add("desk", GOOD, Role.OPERATOR)
    every, _ = tokens.add(owner, "every", days=1)
    two, _ = tokens.add(owner, "two", days=1, role=Role.VIEWER, cameras=["gate", "hall"])
    accounts.set("desk", cameras=["hall", "yard"])
    assert [getattr(access(tokens, t), "cameras", None) for t in (every, two)] == [{"hall", "yard"}, {"hall"}]
    accounts.set("desk", role=Role.VIEWER)
    assert [getattr(access(tokens, t), "role", None) for t in (every, two)] == [Role.VIEWER, Role.VIEWER]
    accounts.set("desk", role=Role.ADMIN, every_camera=True)
    found = access(tokens, every)
    assert found is not None
    assert (found.role, found.cameras) == (Role.OPERATOR, None)  # what it was given, never more
    accounts.set("desk", cameras=["yard"])
    found = access(tokens, two)
    assert found is not None
    assert found.cameras == frozenset()
    assert not found.sees("yard")


@pytest.mark.parametrize("end", ["revoke", "expire", "password", "disable", "remove", "remove and add again"])
def test_how_a_token_ends(stores: Stores, end: str) -> None:
    client, accounts, tokens = stores
    owner = accounts.add("desk", GOOD, Role.OPERATOR)
    secret, token = tokens.add(owner, "x", days=1)
    assert access(tokens, secret) is not None
    if end == "revoke":
        assert tokens.revoke(token.id, "boss") is None  # another account's
        assert tokens.revoke(token.id, "desk") is not None
        assert tokens.revoke(token.id) is None
    elif end == "expire":
        kept = json.loads(client.hget("tapetum:tokens", token.digest))
        kept["expires_at"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        client.hset("tapetum:tokens", token.digest, json.dumps(kept))
    elif end == "password":
        accounts.set("desk", password=GOOD)
    elif end == "disable":
        accounts.set("desk", active=False)
    else:
        accounts.remove("desk")
        if end == "remove and add again":
            accounts.add("desk", GOOD, Role.OPERATOR)
    assert access(tokens, secret) is None
    if end == "expire":
        assert tokens.list() == []
        assert client.hlen("tapetum:tokens") == 0


@pytest.mark.parametrize("change", [{"password": GOOD}, {"active": False}, {"role": Role.VIEWER}, None])
def test_a_login_that_has_ended_makes_no_token(stores: Stores, change: dict[str, Any] | None) -> None:
    """What was let in before the change, and comes to the store after it."""
    client, accounts, tokens = stores
    stale = accounts.add("desk", GOOD, Role.OPERATOR)
    if change is None:
        accounts.remove("desk")
    else:
        accounts.set("desk", **change)
    trail = Trail("desk")
    people = People(accounts, tokens, AuditLog(client), stale.access(), trail, stale.access())
    with pytest.raises((TokenError, AccountMissing)):
        people.add_token("ghost", days=366)
    if change is None or "password" in change:
        with pytest.raises(TokenError, match="changed meanwhile"):  # the owner was read before its new password
            tokens.add(stale, "ghost", days=366)
    assert tokens.list() == []
    boss = accounts.get("boss")
    assert boss is not None
    secret, _ = tokens.add(boss, "sound", days=1, by=boss.access())
    assert access(tokens, secret) is not None


def test_an_account_has_so_many_and_no_more(stores: Stores) -> None:
    _, accounts, tokens = stores
    owner = accounts.get("boss")
    assert owner is not None
    for i in range(50):
        tokens.add(owner, str(i), days=1)
    with pytest.raises(TokenError, match="at most 50"):
        tokens.add(owner, "one more", days=1)


# -- over the API ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("tokens")) as world:
        yield world


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


def test_a_token_lives(world: World, client: TestClient) -> None:
    session = bearer(world.token_of(Role.OPERATOR, ["gate"]))
    made = client.post("/api/v1/tokens", headers=session, json={"name": "nightly", "role": "viewer"})
    assert made.status_code == 201, made.text
    secret, token_id = made.json()["token"], made.json()["id"]
    assert secret not in client.get("/api/v1/tokens", headers=session).text
    who = client.get("/api/v1/session", headers=bearer(secret)).json()
    assert (who["role"], who["cameras"]) == ("viewer", ["gate"])
    assert "own-account" not in who["permissions"]
    assert client.get("/api/v1/cameras", headers=bearer(secret)).status_code == 200
    # A cookie never holds one, and it is no key to more logins.
    assert client.get("/api/v1/cameras", headers={"Cookie": f"tapetum_session={secret}"}).status_code == 401
    assert client.post("/api/v1/tokens", headers=bearer(secret), json={"name": "more"}).status_code == 403
    wider = client.post("/api/v1/tokens", headers=session, json={"name": "x", "cameras": ["vault"]})
    assert wider.status_code == 422
    # Others do not even learn that it is there.
    other = bearer(world.token_of(Role.OPERATOR))
    foreign, unknown = (
        client.delete(f"/api/v1/tokens/{one}", headers=other).json()["detail"] for one in (token_id, "0" * 16)
    )
    assert foreign == unknown
    assert client.get("/api/v1/tokens?account=admin", headers=other).status_code == 403
    assert client.get("/api/v1/tokens?account=nobody", headers=other).status_code == 403
    admin = bearer(world.token_of(Role.ADMIN))
    owner = client.get("/api/v1/session", headers=session).json()["account"]
    listed = client.get("/api/v1/tokens", headers=admin, params={"account": owner}).json()["items"]
    assert [one["id"] for one in listed] == [token_id]
    assert client.delete(f"/api/v1/tokens/{token_id}", headers=admin).status_code == 204
    assert client.get("/api/v1/cameras", headers=bearer(secret)).status_code == 401


def test_an_administrators_token_is_no_way_to_a_login(world: World, client: TestClient) -> None:
    owner = world.services.accounts.add("chief", PASSWORD, Role.ADMIN)
    secret, _ = world.services.tokens.add(owner, "leaked", days=1)
    mine = bearer(secret)
    assert client.get("/api/v1/system", headers=mine).status_code == 200
    new = {"account": "backdoor", "role": "admin", "password": GOOD}
    assert client.post("/api/v1/users", headers=mine, json=new).status_code == 403
    assert client.patch("/api/v1/users/chief", headers=mine, json={"password": GOOD}).status_code == 403
    assert client.delete("/api/v1/users/chief", headers=mine).status_code == 403
    assert world.services.accounts.get("backdoor") is None
    assert world.services.accounts.verify("chief", PASSWORD) is not None
    world.services.accounts.remove("chief")


def test_a_socket_ends_with_its_token(world: World, client: TestClient) -> None:
    owner = world.services.accounts.add("streams", PASSWORD, Role.VIEWER)
    secret, token = world.services.tokens.add(owner, "wall", days=1)
    with client.websocket_connect("/api/v1/live", headers=bearer(secret)) as socket:
        socket.send_text('{"watch": []}')
        world.services.tokens.revoke(token.id)
        assert socket.receive()["code"] == 4401
