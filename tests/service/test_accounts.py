"""Accounts: names, passwords, roles and scopes, the last administrator, and what ends when one is changed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import PASSWORD, World, bearer, client_of, world_in
from support.command import run_command

from pipeline.camera import CameraConfig
from service.audit import AuditLog, AuditUnavailable
from service.redis_server import EmbeddedRedis, client_for
from service.security import AccountError, AccountExists, AccountMissing, AccountStore, Role, account_name
from service.security import passwords as password_rules

GOOD = "correct horse battery"


@pytest.fixture
def store(embedded_redis: Any) -> AccountStore:
    return AccountStore(embedded_redis.client())


def test_a_password_is_kept_as_argon2id_and_nothing_else(embedded_redis: Any, store: AccountStore) -> None:
    account = store.add("night-desk", GOOD, Role.OPERATOR, ["gate"])
    stored = b"".join(embedded_redis.client().hvals("tapetum:accounts"))
    assert b"$argon2id$" in stored
    assert GOOD.encode() not in stored
    assert GOOD not in repr(account)
    assert "argon2" not in repr(account)
    assert store.verify("night-desk", GOOD) == account
    assert store.verify("Night-Desk", GOOD) == account  # names are lower-case, however they are typed
    assert store.verify("night-desk", GOOD + " ") is None
    with pytest.raises(AccountExists):
        store.add("night-desk", GOOD, Role.VIEWER)


@pytest.mark.parametrize(
    "name",
    ["", "a" * 65, "me", "-x", "a b", "a\0b", "a/b", "../x", "\u0430dmin", "admin\u212a", "\uff41dmin", "admin\u202e",
     "a*", "a\n", "\ud800", "<script>", "x" * 100_000],
)  # fmt: skip
def test_names_that_are_none(store: AccountStore, name: str) -> None:
    with pytest.raises(AccountError):
        account_name(name)
    with pytest.raises(AccountError):
        store.add(name, GOOD, Role.VIEWER)
    assert store.verify(name, GOOD) is None


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "at least 12 characters, got 5"),
        ("", "at least 12"),
        ("a" * 30, "different characters"),
        ("ababababababab", "different characters"),
        ("long" * 100, "at most 256"),
        ("night-desk-12345", "more than the account's name"),
    ],
)
def test_passwords_that_are_refused(store: AccountStore, password: str, words: str) -> None:
    with pytest.raises(AccountError, match=words) as refused:
        store.add("night-desk", password, Role.VIEWER)
    assert not password or password not in str(refused.value)


def test_a_password_is_the_same_from_every_keyboard(store: AccountStore) -> None:
    store.add("jorg", "schlüssel café №", Role.VIEWER)
    assert store.verify("jorg", "schlüssel café №") is not None
    assert store.verify("jorg", "schlussel cafe №") is None
    store.add("nul", "with a\0nul inside", Role.VIEWER)
    assert store.verify("nul", "with a\0nul inside") is not None
    assert store.verify("nul", "with a") is None


def test_an_unknown_and_a_disabled_account_cost_as_much_as_a_wrong_password(
    store: AccountStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can find out names by the clock: each mistake is one verification of one argon2 hash."""
    store.add("known", GOOD, Role.VIEWER)
    store.add("off", GOOD, Role.VIEWER)
    store.add("boss", GOOD, Role.ADMIN)
    store.set("off", active=False)
    parameters = []
    verify = password_rules._HASHER.verify

    class Counting:
        def verify(self, digest: str, password: bytes) -> bool:
            parameters.append(digest.rsplit("$", 2)[0])
            return verify(digest, password)

    monkeypatch.setattr(password_rules, "_HASHER", Counting())
    for name in ("known", "off", "nobody", "no name at all", "ünknown"):
        assert store.verify(name, "wrong password") is None
    assert store.verify("off", GOOD) is None
    assert len(parameters) == 6
    assert len(set(parameters)) == 1


def test_the_last_administrator_of_every_camera_stays(store: AccountStore) -> None:
    store.add("first", GOOD, Role.ADMIN)
    store.add("here-only", GOOD, Role.ADMIN, ["gate"])
    store.add("guard", GOOD, Role.OPERATOR)
    for change in ({"role": Role.OPERATOR}, {"active": False}, {"cameras": ["gate"]}):
        with pytest.raises(AccountError, match="last administrator"):
            store.set("first", **change)  # type: ignore[arg-type]
    with pytest.raises(AccountError, match="last administrator"):
        store.remove("first")
    store.add("second", GOOD, Role.ADMIN)
    store.set("second", active=False)
    with pytest.raises(AccountError, match="last administrator"):
        store.remove("first")
    store.set("second", active=True)
    store.remove("first")
    with pytest.raises(AccountMissing):
        store.set("first", role=Role.VIEWER)
    with pytest.raises(AccountError, match="cameras"):
        store.set("guard", cameras=[])
    with pytest.raises(AccountError, match="cameras"):
        store.set("guard", cameras=["../x"])


def test_two_administrators_who_demote_each_other_do_not_both_succeed(redis_server: Any) -> None:
    for _ in range(3):
        redis_server.client().flushall()
        store = AccountStore(redis_server.client())
        ada, bob = (store.add(name, GOOD, Role.ADMIN).access() for name in ("ada", "bob"))
        start, refused = threading.Barrier(2), []

        def demote(name: str, by: Any, start: Any = start, refused: list[str] = refused) -> None:
            mine = AccountStore(redis_server.client())
            start.wait()
            try:
                mine.set(name, role=Role.VIEWER, by=by)
            except AccountError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=demote, args=pair) for pair in (("ada", bob), ("bob", ada))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        roles = sorted(account.role for account in store.list())
        assert roles == [Role.ADMIN, Role.VIEWER]
        # The one who was demoted meanwhile could not demote anybody any more, third administrator or not.
        assert refused == ["Your own account was changed meanwhile. Log in again."]


def test_only_one_of_many_processes_makes_the_first_account(redis_server: Any) -> None:
    made: list[str | None] = []
    start = threading.Barrier(4)

    def begin() -> None:
        store = AccountStore(redis_server.client())
        start.wait()
        made.append(store.ensure_admin())

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (password,) = [one for one in made if one is not None]
    store = AccountStore(redis_server.client())
    assert store.verify("admin", password) is not None
    assert store.ensure_admin() is None
    store.add("other", GOOD, Role.ADMIN)
    store.set("admin", role=Role.VIEWER, cameras=["gate"], active=False)
    fresh = store.reset_admin()
    back = store.verify("admin", fresh)
    assert back is not None
    assert (back.role, back.cameras, back.active) == (Role.ADMIN, None, True)
    assert store.verify("admin", password) is None


# -- over the API ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("accounts")) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


@pytest.fixture
def admin(world: World, running: TestClient) -> TestClient:
    for key in world.services.redis.scan_iter("tapetum:login:*"):
        world.services.redis.delete(key)
    running.headers.pop("Authorization", None)
    running.headers.update(bearer(world.log_in(running)))
    running.cookies.clear()
    return running


def test_an_account_lives(world: World, admin: TestClient) -> None:
    made = admin.post("/api/v1/users", json={"account": "desk", "role": "operator", "cameras": ["gate"]})
    assert made.status_code == 201, made.text
    password = made.json()["password"]
    assert len(password) >= 20
    assert made.headers["location"] == "/api/v1/users/desk"
    shown = admin.get("/api/v1/users/desk").json()
    assert (shown["role"], shown["cameras"], shown["active"]) == ("operator", ["gate"], True)
    assert "argon2" not in admin.get("/api/v1/users").text
    entered = admin.post("/api/v1/session", json={"account": "desk", "password": password}).json()
    assert (entered["role"], entered["cameras"]) == ("operator", ["gate"])
    assert "photos" in entered["permissions"]
    assert "users" not in entered["permissions"]
    admin.cookies.clear()
    assert admin.post("/api/v1/users", json={"account": "desk"}).status_code == 409
    weak = admin.post("/api/v1/users", json={"account": "desk2", "password": "short"})
    assert (weak.status_code, "at least 12" in weak.json()["detail"]) == (422, True)
    assert admin.patch("/api/v1/users/desk", json={"role": None}).status_code == 422
    assert admin.patch("/api/v1/users/desk", json={"cameras": None}).json()["cameras"] is None
    assert admin.delete("/api/v1/users/desk").status_code == 204
    assert admin.get("/api/v1/users/desk").status_code == 404
    assert admin.delete("/api/v1/users/admin").status_code == 422
    assert admin.post("/api/v1/session", json={"account": "desk", "password": password}).status_code == 401


@pytest.mark.parametrize(
    "change", [{"role": "operator"}, {"cameras": ["gate"]}, {"active": False}, {"password": GOOD}, None]
)
def test_a_change_ends_sessions_and_sockets_at_once(
    world: World, admin: TestClient, change: dict[str, Any] | None
) -> None:
    world.services.accounts.add("watcher", PASSWORD, Role.VIEWER)
    world.services.cameras.declare(CameraConfig("gate", "Gate", "rtsp://192.168.1.9/x"))
    account = world.services.accounts.get("watcher")
    assert account is not None
    token, _ = world.services.sessions.open(account)
    with admin.websocket_connect("/api/v1/live", headers=bearer(token)) as socket:
        socket.send_text('{"watch": ["gate"]}')
        deadline = time.monotonic() + 5
        while not world.services.live.watched and time.monotonic() < deadline:
            time.sleep(0.02)
        assert world.services.live.watched == {"gate"}
        path = "/api/v1/users/watcher"
        answer = admin.delete(path) if change is None else admin.patch(path, json=change)
        assert answer.is_success, answer.text
        assert admin.get("/api/v1/session", headers=bearer(token)).status_code == 401
        assert socket.receive()["code"] == 4401
    if change is not None:
        world.services.accounts.remove("watcher")
    # Nobody inherits the sessions of an account that had the same name.
    world.services.accounts.add("watcher", PASSWORD, Role.VIEWER)
    assert admin.get("/api/v1/session", headers=bearer(token)).status_code == 401
    world.services.accounts.remove("watcher")


def test_everybody_changes_their_own_password(world: World, admin: TestClient) -> None:
    account = world.services.accounts.add("self", PASSWORD, Role.VIEWER)
    token, _ = world.services.sessions.open(account)
    path, mine = "/api/v1/users/me/password", bearer(token)
    wrong = admin.post(path, headers=mine, json={"current": "not the password", "new": GOOD})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "The current password is wrong.")
    weak = admin.post(path, headers=mine, json={"current": PASSWORD, "new": "self-1234567"})
    assert weak.status_code == 422
    assert admin.post(path, headers=mine, json={"current": PASSWORD, "new": GOOD}).status_code == 204
    assert admin.get("/api/v1/session", headers=mine).status_code == 401
    assert world.services.accounts.verify("self", GOOD) is not None
    world.services.accounts.remove("self")


def test_who_holds_a_session_cannot_guess_the_password_behind_it(world: World, admin: TestClient) -> None:
    account = world.services.accounts.add("held", PASSWORD, Role.VIEWER)
    token, _ = world.services.sessions.open(account)
    answers = [
        admin.post("/api/v1/users/me/password", headers=bearer(token), json={"current": f"guess {i}", "new": GOOD})
        for i in range(11)
    ]
    # Ten attempts in a quarter of an hour, of which the login of the fixture was given back.
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
    world.services.accounts.remove("held")


def test_an_own_account_gains_no_guesses_at_the_others(world: World, admin: TestClient) -> None:
    world.services.accounts.add("insider", PASSWORD, Role.VIEWER)
    answers = []
    for i in range(6):
        guess = {"account": "admin", "password": f"guess {i} of the insider"}
        answers.append(admin.post("/api/v1/session", json=guess).status_code)
        answers.append(admin.post("/api/v1/session", json={"account": "insider", "password": PASSWORD}).status_code)
    admin.cookies.clear()
    assert answers.count(401) + answers.count(201) + answers.count(429) == 12
    for i in range(5):
        last = admin.post("/api/v1/session", json={"account": "admin", "password": f"guess {i + 6} of the insider"})
    assert last.status_code == 429
    world.services.accounts.remove("insider")


@pytest.mark.parametrize(
    "body",
    [
        {"account": "\0", "password": "x"},
        {"account": "ä" * 64, "password": "x"},
        {"account": "admin", "password": "p" * 256},
        {"account": "admin", "password": "\0" * 12},
        {"account": "admin", "password": "p" * 257},
        {"account": "a" * 65, "password": "x"},
        {"account": ["admin"], "password": {"$ne": ""}},
    ],
)
def test_hostile_logins_are_refused_without_an_echo(admin: TestClient, body: dict[str, Any]) -> None:
    answer = admin.post("/api/v1/session", json=body)
    assert answer.status_code in (401, 422)
    assert "ppp" not in answer.text


def test_half_a_surrogate_is_no_password(admin: TestClient) -> None:
    content = b'{"account": "admin", "password": "\\ud800\\ud800\\ud800"}'
    answer = admin.post("/api/v1/session", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (401, 422)


# -- at the console --------------------------------------------------------------------------------


def tapetum(*arguments: str, code: int = 0) -> str:
    """What the command said, or the sentence that it ended with."""
    done = run_command(*arguments, code=code)
    return str(done.exception) if code else done.stdout


def test_the_console_manages_accounts_and_tokens(
    world: World, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPETUM_REDIS_URL", world.server.url)
    password = tapetum("users", "add", "porter", "--role", "operator", "--camera", "gate").split()[-1]
    porter = world.services.accounts.verify("porter", password)
    assert porter is not None
    assert (porter.role, porter.cameras) == (Role.OPERATOR, {"gate"})
    listed = {row["account"]: row for row in json.loads(tapetum("users", "list", "--json"))}
    assert listed["porter"]["cameras"] == ["gate"]
    secret = tapetum("tokens", "add", "porter", "nightly report", "--role", "viewer").strip()
    assert admin.get("/api/v1/session", headers=bearer(secret)).json()["role"] == "viewer"
    (token,) = json.loads(tapetum("tokens", "list", "porter", "--json"))
    tapetum("tokens", "revoke", token["id"])
    assert admin.get("/api/v1/session", headers=bearer(secret)).status_code == 401
    tapetum("users", "set", "porter", "--all-cameras", "--disable")
    assert world.services.accounts.verify("porter", password) is None
    tapetum("users", "set", "porter", "--enable", "--password")
    assert world.services.accounts.verify("porter", password) is None
    world.services.cameras.declare(CameraConfig(id="gate", name="Gate", url="rtsp://192.168.1.2/x"))
    mistyped = run_command("users", "set", "porter", "--camera", "gate", "--camera", "gaet").stderr
    assert "There is no camera gaet yet." in mistyped
    assert "gate yet" not in mistyped
    tapetum("users", "remove", "porter")
    assert "last administrator" in tapetum("users", "remove", "admin", code=2)
    assert "There is no account" in tapetum("users", "set", "porter", "--enable", code=2)
    monkeypatch.setenv("TAPETUM_NEW_PASSWORD", "a")
    assert "at least 12 characters" in tapetum("users", "add", "x", code=2)
    newest = world.services.audit.newest(count=20)
    assert {"user.add", "user.change", "user.remove", "token.add", "token.revoke"} <= {e["event"] for e in newest}
    assert all(e["account"].startswith("console:") for e in newest if e["event"].startswith(("user.", "token.")))


def test_the_way_back_in_needs_no_running_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TAPETUM_REDIS_URL", raising=False)
    password = tapetum("password").split()[-1]
    with EmbeddedRedis(tmp_path / "redis") as server:
        store = AccountStore(client_for(server.url))
        assert store.verify("admin", password) is not None


def test_the_way_back_in_does_not_need_the_audit_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise AuditUnavailable("x")

    monkeypatch.setenv("TAPETUM_REDIS_URL", world.server.url)
    monkeypatch.setattr(AuditLog, "append", broken)
    done = run_command("password")
    assert "not recorded" in done.stderr
    assert world.services.accounts.verify("admin", done.stdout.split()[-1]) is not None
    world.services.accounts.reset_admin(PASSWORD)
