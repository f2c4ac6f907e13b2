"""The audit log: one chain over all writers, complete, without secrets, and whatever is done to it shows."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from fastapi.testclient import TestClient
from support.api_world import COLOURS, PASSWORD, World, bearer, client_of, encoded, record_of, scene, world_in
from support.command import run_command

from service.audit import AuditLog, AuditUnavailable, Head, Trail, Verifier, ViewNotes, verify_chain
from service.audit.chain import canonical
from service.security import Role

JSON = dict[str, Any]


def rehashed(entry: JSON) -> JSON:
    """The entry with the hash that fits it: what somebody does who knows how it is made."""
    import hashlib

    bare = {name: value for name, value in entry.items() if name != "hash"}
    return {**bare, "hash": hashlib.sha256(canonical(bare).encode()).hexdigest()}


def lines_of(entries: list[JSON]) -> list[str]:
    return [json.dumps(entry) for entry in entries]


@pytest.fixture
def log(redis_server: Any) -> AuditLog:
    return AuditLog(redis_server.client())


@pytest.fixture
def entries(log: AuditLog) -> list[JSON]:
    for i in range(12):
        log.append("search", Trail("ada", None, "10.0.0.1", "r"), reason="Diebstahl \u202e\0 \U0001f600", results=i)
    return [json.loads(line) for line in log.lines()]


def test_entries_follow_each_other_and_hold_what_was_given(log: AuditLog, entries: list[JSON]) -> None:
    assert [entry["seq"] for entry in entries] == list(range(1, 13))
    assert entries[0]["previous"] == "0" * 64
    assert all(later["previous"] == earlier["hash"] for earlier, later in pairwise(entries))
    assert entries[3]["account"] == "ada"
    assert entries[3]["details"] == {"reason": "Diebstahl \u202e\0 \U0001f600", "results": 3}
    assert log.verify().intact
    assert log.verify().head == log.head() == Head(12, entries[-1]["hash"])
    assert [e["seq"] for e in log.newest(before=5, count=3)] == [4, 3, 2]


def _edit(entries: list[JSON]) -> None:
    entries[6]["account"] = "bob"


def _edit_and_rehash(entries: list[JSON]) -> None:
    entries[6] = rehashed({**entries[6], "account": "bob"})


def _edit_whitespace(entries: list[JSON]) -> None:
    entries[6]["details"]["reason"] += " "


def _delete(entries: list[JSON]) -> None:
    del entries[6]


def _delete_and_renumber(entries: list[JSON]) -> None:
    del entries[6]
    for i in range(6, len(entries)):
        entries[i] = rehashed({**entries[i], "seq": i + 1})


def _swap(entries: list[JSON]) -> None:
    entries[6], entries[7] = entries[7], entries[6]


def _double(entries: list[JSON]) -> None:
    entries.insert(6, entries[5])


def _add_a_field(entries: list[JSON]) -> None:
    entries[6] = rehashed({**entries[6], "note": "x"})


def _cut_the_beginning(entries: list[JSON]) -> None:
    del entries[0]


@pytest.mark.parametrize(
    ("harm", "first_broken"),
    [
        (_edit, 7),
        (_edit_and_rehash, 8),
        (_edit_whitespace, 7),
        (_delete, 7),
        (_delete_and_renumber, 7),
        (_swap, 7),
        (_double, 7),
        (_add_a_field, 7),
        (_cut_the_beginning, 1),
    ],
)
def test_every_harm_is_found_where_it_is(
    entries: list[JSON], harm: Callable[[list[JSON]], None], first_broken: int
) -> None:
    harm(entries)
    found = verify_chain(lines_of(entries))
    assert (found.intact, found.broken_at) == (False, first_broken)
    assert str(first_broken) in str(found.reason)
    assert found.checked == first_broken - 1


def test_a_cut_end_and_a_log_written_anew_show_against_a_head(entries: list[JSON]) -> None:
    head = Head(12, entries[-1]["hash"])
    assert verify_chain(lines_of(entries), head).intact
    assert verify_chain(lines_of(entries), Head(5, entries[4]["hash"])).intact  # it has grown since
    cut = verify_chain(lines_of(entries[:9]), head)
    assert (cut.broken_at, cut.reason) == (10, "entries 10 to 12 are missing: the end of the log was cut off")
    assert verify_chain(lines_of(entries[:9])).intact  # which alone cannot be known
    assert verify_chain([], head).broken_at == 1
    anew: list[JSON] = []
    for entry in entries:
        anew.append(rehashed({**entry, "account": "bob", "previous": anew[-1]["hash"] if anew else "0" * 64}))
    assert verify_chain(lines_of(anew)).intact
    assert verify_chain(lines_of(anew), head).broken_at == 12


@pytest.mark.parametrize("line", ["", "nonsense", "[]", "{}", "null", "[" * 100_000, '{"seq": NaN}'])
def test_lines_that_are_no_entries(entries: list[JSON], line: str) -> None:
    lines = lines_of(entries)
    lines[4] = line
    assert verify_chain(lines).broken_at == 5


@pytest.mark.parametrize("text", ["", "12", "12:abc", "-1:" + "0" * 64, "12:" + "G" * 64])
def test_heads_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="NUMBER:HASH"):
        Head.parse(text)


def test_what_is_done_to_the_stored_log_shows(redis_server: Any, log: AuditLog, entries: list[JSON]) -> None:
    client = redis_server.client()
    client.xdel("tapetum:audit", "12-0")  # the end, which only the head remembers
    assert log.verify().broken_at == 12
    log.append("later")
    assert log.verify().broken_at == 12
    client.xdel("tapetum:audit", "4-0")
    assert log.verify().broken_at == 4
    client.delete("tapetum:audit:head")
    assert log.verify().broken_at == 4
    AuditLog(client).append("goes on")  # behind what is there: nobody is locked out, nothing is hidden
    assert log.verify().broken_at == 4
    client.delete("tapetum:audit:head")
    found = log.verify()
    assert not found.intact
    client.delete("tapetum:audit", "tapetum:audit:head")
    AuditLog(client).append("anew")
    assert AuditLog(client).verify().intact  # by itself it is a log like any other
    assert AuditLog(client).verify(Head(12, entries[-1]["hash"])).broken_at == 2


def shortened(client: Any, entries: list[JSON], left: int) -> None:
    """The log as it was after so many entries, head included."""
    client.delete("tapetum:audit", "tapetum:audit:head")
    for entry in entries[:left]:
        client.xadd("tapetum:audit", {"entry": canonical(entry)}, id=f"{entry['seq']}-0")
        client.hset("tapetum:audit:head", mapping={"seq": entry["seq"], "hash": entry["hash"]})


@pytest.mark.parametrize("left", [0, 9, 11])
def test_a_log_that_is_shortened_while_the_service_runs_shows_for_good(
    redis_server: Any, log: AuditLog, entries: list[JSON], left: int
) -> None:
    client = redis_server.client()
    shortened(client, entries, left)
    for _ in range(14 - left):  # until it is as long as it was, and longer
        log.append("later")
    was, now = f"12:{entries[11]['hash']}", f"{left}:{entries[left - 1]['hash']}" if left else None
    told = [json.loads(line) for line in log.lines()][left]
    assert (told["event"], told["details"]) == ("audit.shortened", {"was": was, "now": now})
    assert AuditLog(client).verify().intact  # what a process that starts now can know
    assert not AuditLog(client).verify(Head.parse(was)).intact


def test_a_check_knows_the_highest_head_that_its_process_saw(
    redis_server: Any, log: AuditLog, entries: list[JSON]
) -> None:
    verifier = Verifier(log)
    client = redis_server.client()
    shortened(client, entries, 10)
    assert AuditLog(client).verify().intact
    assert verifier.fresh().outcome.broken_at == 11
    log.append("later")  # entries 11 and 12 again, but others
    assert log.verify().reason == "entry 12 is not the one of the known head: the log was written anew"


@pytest.mark.parametrize("text", ["junk", "", "[]", "5", '{"hash": 7}', '{"hash": "short"}', "[" * 100_000])
@pytest.mark.parametrize("head", ["lost", "kept"])
def test_an_unreadable_last_entry_locks_nobody_out_and_is_found(
    redis_server: Any, log: AuditLog, entries: list[JSON], text: str, head: str
) -> None:
    client = redis_server.client()
    client.xadd("tapetum:audit", {"entry": text})
    if head == "lost":
        client.delete("tapetum:audit:head")
    log.append("goes on")
    AuditLog(client).append("goes on")
    assert [entry["event"] for entry in log.newest(count=3)] == ["goes on", "goes on", "broken"]
    assert log.verify().broken_at == 13


def _write_many(url: str, start: Any, count: int) -> None:
    log = AuditLog(redis.Redis.from_url(url))
    start.wait()
    threads = [threading.Thread(target=lambda: [log.append("x", Trail("a")) for _ in range(count)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_replicas_write_one_chain(redis_server: Any, log: AuditLog) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    writers = [context.Process(target=_write_many, args=(redis_server.url, start, 40)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = log.verify()
    assert (found.intact, found.checked) == (True, 160)


def test_acknowledged_entries_survive_kill_9_and_the_chain_goes_on(mortal_server: Any) -> None:
    log = AuditLog(mortal_server.client(timeout_s=1.0))
    written = [log.append("x").hash for _ in range(50)]
    mortal_server.kill()
    with pytest.raises(AuditUnavailable):
        log.append("lost")
    mortal_server.start()
    written.append(log.append("again").hash)
    assert [json.loads(line)["hash"] for line in log.lines()] == written
    assert log.verify().intact


def test_a_lost_answer_is_not_written_twice(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(redis_server.client())
    log.append("first")
    script, calls = log._append, []

    def twice(*arguments: Any) -> Any:
        calls.append(script(*arguments))  # this answer is lost, and the client sends again
        return script(*arguments)

    monkeypatch.setattr(log, "_append", twice)
    log.append("second")
    assert [json.loads(line)["event"] for line in log.lines()] == ["first", "second"]


def test_while_the_store_hangs_entries_are_refused_and_not_queued(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.audit.log._LOCK_S", 0.05)
    hangs, goes_on = threading.Event(), threading.Event()
    script = log._append

    def hanging(*arguments: Any) -> Any:
        hangs.set()
        goes_on.wait(30)
        return script(*arguments)

    with monkeypatch.context() as hung:
        hung.setattr(log, "_append", hanging)
        first = threading.Thread(target=log.append, args=("first",))
        first.start()
        assert hangs.wait(10)
        with pytest.raises(AuditUnavailable):
            log.append("refused")
        goes_on.set()
        first.join()
    log.append("second")
    assert [json.loads(line)["event"] for line in log.lines()] == ["first", "second"]


# -- views -----------------------------------------------------------------------------------------


def test_a_page_of_pictures_is_one_entry(log: AuditLog) -> None:
    views = ViewNotes(log)
    for _ in range(2):
        for i in range(50):
            views.note("view.pictures", Trail("ada", request_id=str(i)), f"tracklet-{i}", "gate")
    views.note("view.pictures", Trail("bob"), "tracklet-1", "gate")
    views.stop()
    entries = [json.loads(line) for line in log.lines()]
    assert [(e["event"], e["account"], len(e["details"]["items"])) for e in entries] == [
        ("view.pictures", "ada", 50),
        ("view.pictures", "bob", 1),
    ]
    assert entries[0]["details"]["items"]["tracklet-7"] == "gate"


def test_the_same_pictures_seen_during_an_outage_are_counted_once(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.audit.views.AGAIN_S", 0.0)
    monkeypatch.setattr("service.audit.views.MAX_NOTES", 60)
    views = ViewNotes(log)

    def broken(*_: Any, **__: Any) -> Any:
        raise AuditUnavailable("x")

    for _ in range(2):  # two outages, the second is not shorter of what the first took
        with monkeypatch.context() as outage:
            outage.setattr(log, "append", broken)
            for _ in range(5):
                for i in range(50):
                    views.note("view.pictures", Trail("ada"), str(i), "gate")
                views._flush()
        views._flush()
    for i in range(60):
        views.note("view.pictures", Trail("ada"), f"new {i}", "gate")
    views.stop()
    assert [len(json.loads(line)["details"]["items"]) for line in log.lines()] == [50, 50, 60]


def test_views_wait_for_the_log_and_then_are_refused(mortal_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.audit.views.MAX_NOTES", 5)
    log = AuditLog(mortal_server.client(timeout_s=0.5))
    views = ViewNotes(log)
    mortal_server.kill()
    for i in range(5):
        views.note("view.pictures", Trail("ada"), str(i), "gate")
    with pytest.raises(AuditUnavailable):
        views.note("view.pictures", Trail("ada"), "5", "gate")
    mortal_server.start()
    views.note("view.pictures", Trail("ada"), "5", "gate")
    views.stop()
    items = [item for line in log.lines() for item in json.loads(line)["details"]["items"]]
    assert sorted(items) == ["0", "1", "2", "3", "4", "5"]


# -- what the service records ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("audit")
    with world_in(folder, search_reason_required=True, metrics_token="metrics-secret") as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


@pytest.fixture(scope="module")
def sighting(world: World, running: TestClient) -> str:
    made = [record_of(world.services.media, list(COLOURS)[n % 4], number=n + 1) for n in range(8)]
    world.services.gallery.put_many(made)
    deadline = time.monotonic() + 10
    while world.services.index is not None and len(world.services.index) < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    return made[0].id


@pytest.fixture
def client(world: World, running: TestClient) -> TestClient:
    for key in world.services.redis.scan_iter("tapetum:login:*"):
        world.services.redis.delete(key)
    running.cookies.clear()
    return running


class Recorded:
    """Entries made since this was made."""

    def __init__(self, world: World) -> None:
        self._log = world.services.audit
        head = self._log.head()
        self._from = head.seq if head else 0

    def __call__(self, event: str = "") -> list[JSON]:
        entries = (json.loads(line) for line in self._log.lines())
        return [e for e in entries if e["seq"] > self._from and e["event"].startswith(event)]


def test_the_start_is_recorded_with_the_configuration_and_no_secret(world: World, client: TestClient) -> None:
    first = json.loads(next(world.services.audit.lines()))
    assert first["event"] == "service.start"
    assert first["details"]["configuration"]["search_reason_required"] is True
    assert first["details"]["configuration"]["metrics_token"] == "**********"
    assert "metrics-secret" not in json.dumps(first)


def test_logins_are_recorded_good_refused_and_throttled(world: World, client: TestClient) -> None:
    recorded = Recorded(world)
    token = world.log_in(client)
    client.cookies.clear()
    client.post("/api/v1/session", json={"account": "admin", "password": "a wrong password"})
    client.post("/api/v1/session", json={"account": "my password by mistake", "password": "x"})
    assert client.delete("/api/v1/session", headers=bearer(token)).status_code == 204
    for _ in range(12):
        client.post("/api/v1/session", json={"account": "admin", "password": "a wrong password"})
    deadline = time.monotonic() + 10
    while not recorded("login.throttled") and time.monotonic() < deadline:
        time.sleep(0.1)
    found = [(e["event"], e["account"]) for e in recorded()]
    assert found[:4] == [("login", "admin"), ("login.refused", "admin"), ("login.refused", None), ("logout", "admin")]
    assert recorded("login.throttled")[0]["details"] == {"items": {"testclient": ""}}
    assert len(recorded("login.throttled")) == 1
    text = json.dumps(recorded())
    for secret in ("mistake", "wrong password", PASSWORD, token):
        assert secret not in text
    assert recorded("login")[0]["address"] == "testclient"
    assert recorded("login")[0]["request_id"]


def test_a_search_says_who_why_where_and_how_many(world: World, client: TestClient, sighting: str) -> None:
    mine = bearer(world.token_of(Role.OPERATOR, ["gate", "hall"]))
    body = {"examples": [{"tracklet_id": sighting}], "filters": {"cameras": ["gate"]}, "k": 3}
    recorded = Recorded(world)
    for reason in (None, "", "   "):
        refused = client.post("/api/v1/search", headers=mine, json={**body, "reason": reason})
        assert refused.status_code == 422, refused.text
    assert client.post("/api/v1/search", headers=mine, json={**body, "reason": "a\u202eb"}).status_code == 422
    assert client.post("/api/v1/search", headers=mine, json={**body, "reason": "a" * 501}).status_code == 422
    assert recorded() == []
    answer = client.post("/api/v1/search", headers=mine, json={**body, "reason": " Case 12/26, theft "})
    assert answer.status_code == 200, answer.text
    (entry,) = recorded()
    assert entry["account"] == client.get("/api/v1/session", headers=mine).json()["account"]
    assert entry["details"] == {
        "reason": "Case 12/26, theft",
        "scope": ["gate", "hall"],
        "filters": {"cameras": ["gate"]},
        "examples": [{"tracklet": sighting}],
        "k": 3,
        "results": 3,
    }


def test_pictures_photos_and_tokens_are_recorded(world: World, client: TestClient, sighting: str) -> None:
    recorded = Recorded(world)
    session = bearer(world.token_of(Role.OPERATOR))
    secret = client.post("/api/v1/tokens", headers=session, json={"name": "wall display"}).json()["token"]
    for part in ("thumbnail", "crops/0", "crops/1"):
        assert client.get(f"/api/v1/tracklets/{sighting}/{part}", headers=bearer(secret)).status_code == 200
    files = {"photo": ("x.png", encoded(scene(["red"]), ".png"), "image/png")}
    assert client.post("/api/v1/photos", headers=session, files=files).status_code == 201
    deadline = time.monotonic() + 10
    while not recorded("view") and time.monotonic() < deadline:
        time.sleep(0.1)
    (view,) = recorded("view")
    assert (view["event"], view["token"]) == ("view.pictures", "wall display")
    assert view["details"]["items"] == {sighting: "gate"}
    assert recorded("photo")[0]["details"] == {"persons": 1, "modality": "visible"}
    assert recorded("token.add")[0]["details"]["name"] == "wall display"
    assert secret not in json.dumps(recorded())


def test_changes_are_recorded_before_they_are_made(
    world: World, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = bearer(world.token_of(Role.ADMIN))
    recorded = Recorded(world)
    url = "rtsp://viewer:hunter2hunter2@192.168.1.20/x"
    camera = client.post("/api/v1/cameras", headers=admin, json={"id": "dock", "name": "Dock", "url": url})
    assert camera.status_code == 201
    client.patch("/api/v1/cameras/dock", headers=admin, json={"max_fps": 5, "url": url + "y"})
    client.post("/api/v1/cameras", headers=admin, json={"id": "dock", "name": "Dock", "url": url})
    client.post("/api/v1/cameras/test", headers=admin, json={"url": url})
    client.delete("/api/v1/cameras/dock", headers=admin)
    client.post("/api/v1/users", headers=admin, json={"account": "new", "password": PASSWORD})
    client.patch("/api/v1/users/new", headers=admin, json={"role": "operator", "password": PASSWORD})
    client.delete("/api/v1/users/new", headers=admin)
    events = [entry["event"] for entry in recorded()]
    assert events == [
        "camera.add", "camera.change", "camera.add", "camera.add.undone", "camera.test", "camera.remove",
        "user.add", "user.change", "user.remove",
    ]  # fmt: skip
    entries = recorded()
    assert entries[1]["details"]["changes"]["max_fps"] == 5
    assert entries[3]["details"] == {"entry": entries[2]["seq"], "reason": "CameraExistsError"}
    assert entries[7]["details"] == {"user": "new", "role": "operator", "new_password": True}
    text = json.dumps(entries)
    assert "hunter2" not in text
    assert PASSWORD not in text

    def broken(*_: Any, **__: Any) -> Any:
        raise AuditUnavailable("x")

    monkeypatch.setattr(world.services.audit, "append", broken)
    for refused in (
        client.post("/api/v1/cameras", headers=admin, json={"id": "unseen", "name": "x", "url": url}),
        client.post("/api/v1/users", headers=admin, json={"account": "unseen"}),
        client.post("/api/v1/session", json={"account": "admin", "password": PASSWORD}),
    ):
        assert refused.status_code == 503
        assert refused.json()["type"].endswith("audit-unavailable")
        assert "token" not in refused.json()
    assert "unseen" not in {record.config.id for record in world.services.cameras.list()}
    assert world.services.accounts.get("unseen") is None


def test_without_a_log_no_search_is_answered(
    world: World, client: TestClient, sighting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = bearer(world.token_of(Role.VIEWER))

    def broken(*_: Any, **__: Any) -> Any:
        raise AuditUnavailable("x")

    monkeypatch.setattr(world.services.audit, "append", broken)
    body = {"examples": [{"tracklet_id": sighting}], "reason": "theft"}
    answer = client.post("/api/v1/search", headers=mine, json=body)
    assert answer.status_code == 503
    assert sighting not in answer.text


def test_administrators_read_filter_and_check_the_log(world: World, client: TestClient, sighting: str) -> None:
    admin = bearer(world.token_of(Role.ADMIN))
    body = {"examples": [{"tracklet_id": sighting}], "reason": "one of three"}
    for _ in range(3):
        assert client.post("/api/v1/search", headers=admin, json=body).status_code == 200

    def page(**parameters: Any) -> JSON:
        answer = client.get("/api/v1/audit", headers=admin, params=parameters)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    everything, before = [], None
    while True:
        found = page(limit=2, **({"cursor": before} if before else {}))
        everything += [item["seq"] for item in found["items"]]
        before = found["next_cursor"]
        if before is None:
            break
    head = world.services.audit.head()
    assert head is not None
    assert everything == list(range(head.seq, 0, -1))
    searches = page(event="search", account="admin-all")["items"]
    assert {item["event"] for item in searches} == {"search"}
    assert len(searches) >= 3
    assert page(account="nobody")["items"] == []
    assert page(since="2100-01-01T00:00:00Z") == {
        **page(since="2100-01-01T00:00:00Z"),
        "items": [],
        "next_cursor": None,
    }
    assert page(until="2000-01-01T00:00:00Z")["items"] == []
    assert page()["head"] == str(head)
    checked = client.get("/api/v1/audit/verification", headers=admin).json()
    assert (checked["intact"], checked["checked"], checked["head"]) == (True, head.seq, str(head))
    assert page()["verification"]["intact"] is True
    for wrong in (
        "limit=0",
        "limit=501",
        "cursor=0",
        "since=yesterday",
        "since=2026-01-01T00:00:00",
        "event=" + "a" * 65,
    ):
        assert client.get(f"/api/v1/audit?{wrong}", headers=admin).status_code == 422


def test_the_command_line_exports_and_verifies(
    world: World, tmp_path: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPETUM_REDIS_URL", world.server.url)
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path))

    def run(*arguments: str, code: int = 0) -> str:
        done = run_command(*arguments, code=code)
        assert done.exit_code == code
        return done.output

    for _ in range(5):
        world.services.audit.append("x")
    file = tmp_path / "audit.jsonl"
    exported = run("audit", "export", str(file))
    head = exported.split("head ")[-1].strip()
    assert file.stat().st_mode & 0o077 == 0
    run("audit", "export", str(file), code=2)  # never over another file
    assert json.loads(run("audit", "verify", str(file), "--head", head, "--json"))["intact"]
    run("audit", "verify", "--head", head)  # the running log has grown since
    read = AuditLog.lines

    def while_others_write(self: AuditLog) -> Iterator[bytes]:
        yield from read(self)
        world.services.audit.append("x")

    with monkeypatch.context() as busy:
        busy.setattr(AuditLog, "lines", while_others_write)
        run("audit", "export", str(tmp_path / "busy.jsonl"))
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    assert "cut off" in run("audit", "verify", str(file), "--head", head, code=1)
    file.write_text("\n".join([*lines[:2], lines[3]]) + "\n")
    assert "entry 3 is missing" in run("audit", "verify", str(file), code=1)
    run("audit", "verify", str(tmp_path / "nowhere"), code=2)
    run("audit", "verify", str(file), "--head", "12", code=2)
