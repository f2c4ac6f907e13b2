"""Exports: what is in them, who may have them, and that nothing half made or erased is ever given out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import (
    PASSWORD,
    START,
    ColourDetector,
    World,
    bearer,
    client_of,
    record_of,
    world_in,
)
from support.cameras import wait_for
from support.exports import begun, case_with, ended, fetched, state_of

from pipeline.camera import CameraConfig
from pipeline.sealing import Sealer
from pipeline.types import Detections, Image
from service.cases.export_store import INTERRUPTED
from service.cases.exporter import Exporter
from service.cases.sealed_file import ExportFile
from service.cases.verify import verify_export
from service.security import Role

JSON = dict[str, Any]
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("exports")) as world:
        for camera, name in (("gate", "Main gate"), ("vault", "Secret safe")):
            world.services.cameras.declare(CameraConfig(camera, name, "rtsp://192.168.1.20/x"))
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    """Logged in as an operator of all cameras, `operator-all`."""
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.OPERATOR)))
        yield client


@pytest.fixture
def seen(world: World) -> Any:
    """Makes a sighting and gives its id."""

    def make(number: int, camera: str = "gate") -> str:
        started = START + timedelta(minutes=number)
        record = record_of(world.services.media, "red", number=number, camera=camera, started_at=started)
        world.services.gallery.put(record)
        return record.id

    return make


class Barrier(ColourDetector):
    """Stops an export at its first picture, until it is let on."""

    def __init__(self) -> None:
        self.reached, self.on = threading.Event(), threading.Event()

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        self.reached.set()
        assert self.on.wait(60)
        return super().detect(images)


@pytest.fixture
def barrier(world: World, api: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Barrier]:
    barrier, loaded = Barrier(), world.services.engines.detector
    assert loaded is not None
    monkeypatch.setattr(world.services.engines, "detector", replace(loaded, detector=barrier))
    yield barrier
    barrier.on.set()


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]


def events(world: World, name: str, export: JSON) -> list[JSON]:
    found = [json.loads(line) for line in world.services.audit.lines()]
    return [e for e in found if e["event"] == name and e["details"].get("export") == export["id"]]


def files_of(world: World, export: JSON) -> list[str]:
    folder = world.settings.exports_dir
    return sorted(path.name for path in folder.glob(f"{export['id']}*")) if folder.is_dir() else []


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pictures += [value or "" for name, value in attrs if name == "src"]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_an_export_holds(world: World, api: TestClient, seen: Any, tmp_path: Path) -> None:
    pinned, first, second = seen(1), seen(2), seen(5, "vault")
    subject = api.post("/api/v1/subjects", json={"tracklet_ids": [first, second], "name": "Red coat"}).json()
    case = case_with(api, pinned, title="Bicycles", subject_ids=[subject["id"]], note="came first")
    api.post(f"{case}/notes", json={"text": "Seen twice."})
    asked = begun(api, case, reason="Request 4711/26")
    export = ended(api, case, asked)
    assert (export["state"], export["error"], export["done"], export["total"]) == ("done", None, 3, 3)
    assert (export["blurred"], export["account"], export["reason"]) == (True, "operator-all", "Request 4711/26")
    file = fetched(api, case, export, tmp_path / "export.zip")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == export["sha256"]
    assert file.stat().st_size == export["size_bytes"]
    found = verify_export(file, [export["key"]])
    assert (found.findings, found.trusted, found.files) == ((), True, 12)

    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        content = json.loads(archive.read("case.json"))
        page = Page(archive.read("index.html").decode())
        manifest = archive.read("manifest.json")
    pictures = [f"pictures/{one}/{n}.jpg" for one in (pinned, first, second) for n in range(3)]
    assert sorted(names) == sorted(
        [*pictures, "case.json", "index.html", "public-key.pem", "manifest.json", "manifest.sig"]
    )
    assert hashlib.sha256(manifest).hexdigest() == export["manifest_sha256"]
    assert [s["id"] for s in content["sightings"]] == [pinned, first, second]
    assert [p["path"] for s in content["sightings"] for p in s["pictures"]] == pictures
    assert content["sightings"][0]["pin"]["note"] == "came first"
    assert [s["subject_id"] for s in content["sightings"]] == [None, subject["id"], subject["id"]]
    assert [n["text"] for n in content["notes"]] == ["Seen twice."]
    (told,) = content["subjects"]
    assert (told["name"], told["pin"]["account"], len(told["transitions"])) == ("Red coat", "operator-all", 1)
    assert page.pictures == pictures
    for word in ("Bicycles", "Seen twice.", "Red coat", "Main gate", "Secret safe", "came first", "Request 4711/26"):
        assert word in page.text
    assert not {"script", "link", "iframe", "form"} & set(page.tags)

    (requested,), (done,), (taken,) = (events(world, e, export) for e in ("export", "export.done", "export.fetch"))
    assert requested["details"]["reason"] == "Request 4711/26"
    assert done["details"]["manifest"] == export["manifest_sha256"]
    assert taken["details"]["sha256"] == export["sha256"]
    assert {e["account"] for e in (requested, done, taken)} == {"operator-all"}
    assert requested["seq"] < done["seq"] < taken["seq"]
    assert [path.stat().st_mode & 0o77 for path in world.settings.exports_dir.iterdir()] == [0]


@pytest.mark.parametrize(
    "text",
    [
        SCRIPT,
        "../../../etc/passwd",
        "</p></section><img src=https://example.org/x onerror=alert(1)>",
        '"><a href="javascript:alert(1)">',
        "&lt;script&gt;",
        "{title} %s",
    ],
)
def test_what_people_write_stays_writing(world: World, api: TestClient, seen: Any, tmp_path: Path, text: str) -> None:
    number = 100 + len(text)
    subject = api.post("/api/v1/subjects", json={"tracklet_ids": [seen(number)], "name": text}).json()
    case = case_with(api, title=text, subject_ids=[subject["id"]], note=text)
    api.post(f"{case}/notes", json={"text": f"{text}\n{text}"})
    export = ended(api, case, begun(api, case, reason=text))
    answer = api.get(f"{case}/exports/{export['id']}/file")
    assert (
        answer.headers["content-disposition"] == f'attachment; filename="case-{export["case_id"]}-{export["id"]}.zip"'
    )
    (tmp_path / "x.zip").write_bytes(answer.content)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        names, page = archive.namelist(), Page(archive.read("index.html").decode())
    assert not [name for name in names if ".." in name or name.startswith("/") or not name.isascii()]
    assert page.text.count(text) >= 6, "title, heading, reason, two lines of the note, subject, pin"
    assert not {"script", "iframe"} & set(page.tags)
    assert page.pictures
    assert all(name in names for name in page.pictures)


def test_writing_from_right_to_left_is_kept_to_itself(api: TestClient, seen: Any, tmp_path: Path) -> None:
    """Marks are refused where they come in; letters of such writing turn nothing around them."""
    case = case_with(api, seen(6), title="שלום (x) 12")
    export = ended(api, case, begun(api, case))
    with zipfile.ZipFile(fetched(api, case, export, tmp_path / "x.zip")) as archive:
        assert "<bdi>שלום (x) 12</bdi>" in archive.read("index.html").decode()


def test_everybody_exports_their_cameras_and_fetches_their_exports(
    world: World, api: TestClient, seen: Any, tmp_path: Path
) -> None:
    services = world.services
    keeper = services.accounts.add("keeper", PASSWORD, Role.OPERATOR, ["gate"])
    services.accounts.add("looker", PASSWORD, Role.VIEWER)
    gate = bearer(services.sessions.open(keeper)[0])
    admin, some = bearer(world.token_of(Role.ADMIN)), bearer(world.token_of(Role.ADMIN, ["gate", "vault"]))
    looker = bearer(services.sessions.open(services.accounts.get("looker"))[0])  # type: ignore[arg-type]
    mine, theirs = seen(10, "gate"), seen(11, "vault")
    subject = api.post("/api/v1/subjects", json={"tracklet_ids": [seen(12, "gate"), seen(13, "vault")]}).json()
    case = case_with(api, mine, theirs, subject_ids=[subject["id"]])
    api.patch(case, json={"revision": 1, "members": ["keeper", "looker"]})
    whole = ended(api, case, begun(api, case))
    part = ended(api, case, begun(api, case, headers=gate), gate)
    assert (whole["total"], part["total"]) == (4, 2)
    with zipfile.ZipFile(fetched(api, case, part, tmp_path / "x.zip", gate)) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist()) + "".join(archive.namelist()).encode()
    assert not [word for word in (b"vault", b"Secret safe", theirs.encode()) if word in everything]

    def listed(headers: Any) -> set[str]:
        return {e["id"] for e in api.get(f"{case}/exports", headers=headers).json()["items"]}

    assert listed(None) == {whole["id"]}
    assert listed(gate) == {part["id"]}
    assert listed(admin) == {whole["id"], part["id"]}
    for export, headers, status in (
        (whole, None, 200),
        (whole, gate, 404),
        (part, None, 404),
        (part, gate, 200),
        (whole, admin, 200),
        (part, admin, 200),
        (whole, some, 404),
        (part, looker, 403),
    ):
        assert api.get(f"{case}/exports/{export['id']}/file", headers=headers).status_code == status
    other_case = case_with(api)
    assert api.get(f"{other_case}/exports/{whole['id']}/file").status_code == 404
    assert api.delete(f"{case}/exports/{whole['id']}", headers=gate).status_code == 404
    # Who does not see all of it any more does not get it any more.
    services.accounts.set("keeper", cameras=["vault"])
    gate = bearer(services.sessions.open(services.accounts.get("keeper"))[0])  # type: ignore[arg-type]
    assert api.get(f"{case}/exports/{part['id']}/file", headers=gate).status_code == 404


def test_a_new_account_of_an_old_name_gets_no_old_export(world: World, api: TestClient, seen: Any) -> None:
    """Neither listed, nor by the key that it was asked for with."""
    accounts, sessions = world.services.accounts, world.services.sessions

    def joined() -> Any:
        accounts.add("namesake", PASSWORD, Role.OPERATOR)
        revision = api.get(case).json()["revision"]
        assert api.patch(case, json={"revision": revision, "members": ["namesake"]}).status_code == 200
        return bearer(sessions.open(accounts.get("namesake"))[0])  # type: ignore[arg-type]

    case, key = case_with(api, seen(15)), {"Idempotency-Key": "of-the-first-1"}
    first = joined()
    old = ended(api, case, begun(api, case, headers={**first, **key}), first)
    assert api.get(f"{case}/exports/{old['id']}/file", headers=first).status_code == 200
    accounts.remove("namesake")
    second = joined()
    assert api.get(f"{case}/exports", headers=second).json()["items"] == []
    assert api.get(f"{case}/exports/{old['id']}/file", headers=second).status_code == 404
    again = api.post(f"{case}/exports", json={"reason": "a test"}, headers={**second, **key})
    assert again.status_code == 404


def test_with_a_key_one_is_made_and_three_at_a_time(world: World, api: TestClient, seen: Any, barrier: Barrier) -> None:
    case = case_with(api, seen(20))
    key = {"Idempotency-Key": "lost-answer-8"}
    first = begun(api, case, headers=key)
    assert begun(api, case, headers=key)["id"] == first["id"]
    others = [begun(api, case) for _ in range(2)]
    refused = api.post(f"{case}/exports", json={"reason": "one more"})
    assert problem(refused) == (409, "3 of your exports are still being made.")
    pending = api.get(f"{case}/exports/{others[0]['id']}/file")
    assert problem(pending) == (409, "The export is queued.")
    barrier.on.set()
    assert [ended(api, case, one)["state"] for one in (first, *others)] == ["done"] * 3
    assert len(events(world, "export.done", first)) == 1


@pytest.mark.parametrize("reason", ["", " ", "a\x00b", "x\u202ey", "x" * 501])
def test_why_must_be_said(api: TestClient, reason: str) -> None:
    assert api.post(f"{case_with(api)}/exports", json={"reason": reason}).status_code == 422


def test_an_erasure_takes_finished_exports_back(world: World, api: TestClient, seen: Any) -> None:
    one, other, admin = seen(30), seen(31), bearer(world.token_of(Role.ADMIN))
    case, untouched = case_with(api, one, other), case_with(api, other)
    export, kept = (ended(api, c, begun(api, c)) for c in (case, untouched))
    body = {"tracklet_ids": [one], "reason": "asked"}
    api.put(f"/api/v1/tracklets/{one}/hold", json={"reason": "court"}, headers=admin)
    assert api.post("/api/v1/erasures", json=body, headers=admin).status_code == 409
    assert state_of(api, case, export) == "done", "a refused erasure takes nothing back"
    api.delete(f"/api/v1/tracklets/{one}/hold", headers=admin)
    report = api.post("/api/v1/erasures", json=body, headers=admin).json()
    assert (report["elsewhere"]["exports"], world.services.exports.holds([one])) == (1, 0)
    assert state_of(api, case, export) == "withdrawn"
    assert problem(api.get(f"{case}/exports/{export['id']}/file")) == (
        409, "A sighting in it is not kept any more. Export the case again.",
    )  # fmt: skip
    assert files_of(world, export) == []
    assert (state_of(api, untouched, kept), files_of(world, kept)) == ("done", [f"{kept['id']}.zip"])
    assert ended(api, case, begun(api, case))["total"] == 1


def test_an_erasure_during_an_export_stops_it(world: World, api: TestClient, seen: Any, barrier: Barrier) -> None:
    one, case = seen(40), case_with(api, seen(41))
    api.post(f"{case}/pins", json={"tracklet_ids": [one]})
    running, queued = begun(api, case), begun(api, case)
    assert barrier.reached.wait(30)
    assert state_of(api, case, running) == "running"
    world.services.eraser.erase([one], account="x", reason="x")
    barrier.on.set()
    assert ended(api, case, running)["state"] == "withdrawn"
    done = ended(api, case, queued)
    assert (done["state"], done["total"]) == ("done", 1), "what begins later does not have it"
    wait_for(lambda: files_of(world, running) == [], 10, "the half file to go")
    assert world.services.exports.holds([one]) == 0


def test_one_that_is_removed_while_it_is_made(world: World, api: TestClient, seen: Any, barrier: Barrier) -> None:
    case = case_with(api, seen(50))
    export = begun(api, case)
    assert barrier.reached.wait(30)
    assert api.delete(f"{case}/exports/{export['id']}").status_code == 204
    barrier.on.set()
    wait_for(lambda: files_of(world, export) == [], 10, "the half file to go")
    assert api.get(f"{case}/exports/{export['id']}").status_code == 404
    assert len(events(world, "export.remove", export)) == 1


def test_with_a_case_its_exports_go(world: World, api: TestClient, seen: Any) -> None:
    case = case_with(api, seen(51))
    export = ended(api, case, begun(api, case))
    assert api.delete(case, params={"revision": 1}).status_code == 204
    assert files_of(world, export) == []
    assert world.services.exports.get(export["id"]) is None


def test_a_service_that_stops_says_so(world: World, api: TestClient, seen: Any, barrier: Barrier) -> None:
    exporter, services = Exporter(world.services._export_parts()), world.services
    case = case_with(api, seen(60), seen(61))
    before, services.exporter = services.exporter, exporter
    try:
        exporter.start()
        running, queued = begun(api, case), begun(api, case)
        assert barrier.reached.wait(30)
        stopping = threading.Thread(target=exporter.stop)
        stopping.start()
        wait_for(lambda: exporter._stopping, 10, "the stop")
        barrier.on.set()
        stopping.join()
    finally:
        services.exporter = before
    for export in (running, queued):
        found = ended(api, case, export)
        assert (found["state"], found["error"]) == ("failed", INTERRUPTED)
        assert files_of(world, export) == []


def test_whatever_happens_the_next_export_is_made(
    world: World, api: TestClient, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, exporter, noted = world.services, Exporter(world.services._export_parts()), threading.Event()

    def broken(*_: Any) -> None:
        raise RuntimeError("nobody expected this")

    def broken_too(*_: Any) -> None:
        noted.set()
        raise RuntimeError("nor this")

    case = case_with(api, seen(62))
    monkeypatch.setattr(services, "exporter", exporter)
    monkeypatch.setattr(services.exports, "sweep", broken)
    with monkeypatch.context() as patch:
        patch.setattr(services.exports, "begin", broken)
        patch.setattr(services.exports, "fail", broken_too)
        exporter.start()
        lost = begun(api, case)
        assert noted.wait(30)
    try:
        assert ended(api, case, begun(api, case))["state"] == "done"
    finally:
        exporter.stop()
    services.redis.delete(f"tapetum:export:{lost['id']}:alive")
    assert state_of(api, case, lost) == "failed"


_EXPORTS_AND_HANGS = """
import sys, time
from support.api_world import ColourDetector, foreseeable_loaders
from service.api import build_services
from service.audit import Trail
from service.cases import Export
from service.cases.exporter import ExportJob
from service.security.access import Access, Role
from service.settings import load_settings

class Hanging(ColourDetector):
    def detect(self, images):
        print("hangs", flush=True)
        time.sleep(600)

services = build_services(load_settings(), loaders=foreseeable_loaders())
services._detector = lambda timeout_s: Hanging()
export, _ = services.exports.add(Export.from_text(sys.argv[1]))
services.exporter = type(services.exporter)(services._export_parts())
services.exporter.make(ExportJob(export, Access("operator-all", Role.OPERATOR), Trail("operator-all")))
"""


def test_killed_half_way_it_has_failed_and_nothing_is_left(world: World, api: TestClient, seen: Any) -> None:
    case, store = case_with(api, seen(70)), world.services.exports
    done = store.get(ended(api, case, begun(api, case))["id"])
    assert done is not None
    export = replace(done, id="01K9ZB3Q0V5W1T8R6J2N4M7XCD", state=done.state.QUEUED, sha256=None, finished_at=None)
    environment = {
        **os.environ,
        "TAPETUM_DATA_DIR": str(world.settings.data_dir),
        "TAPETUM_REDIS_URL": world.server.url,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    child = subprocess.Popen(
        [sys.executable, "-c", _EXPORTS_AND_HANGS, export.to_text()], env=environment, stdout=subprocess.PIPE, text=True
    )
    told = {"id": export.id}
    try:
        assert child.stdout is not None
        while "hangs" not in (line := child.stdout.readline()):
            assert line, "the child ended"
        assert (state_of(api, case, told), files_of(world, told)) == ("running", [f"{export.id}.part"])
    finally:
        child.kill()
        child.communicate()
    world.services.redis.delete(f"tapetum:export:{export.id}:alive")  # as it does by itself after two minutes
    assert (state_of(api, case, told), api.get(f"{case}/exports/{export.id}/file").status_code) == ("failed", 409)
    store.sweep(datetime.now(UTC))
    assert files_of(world, told) == []
    assert world.services.redis.exists(f"tapetum:export:{export.id}:tracklets") == 0
    found = store.get(export.id)
    assert found is not None
    assert found.error == INTERRUPTED


def test_a_full_disk_is_said(world: World, api: TestClient, seen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case, really, folder = case_with(api, seen(80)), os.open, str(world.settings.exports_dir)

    def full(path: Any, *more: Any) -> int:
        """The kernel's own answer: nothing fits on this device."""
        return really("/dev/full", os.O_RDWR) if str(path).startswith(folder) else really(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr("service.cases.sealed_file.os.open", full)
        export = ended(api, case, begun(api, case))
    assert (export["state"], export["error"]) == ("failed", "The disk is full.")
    assert problem(api.get(f"{case}/exports/{export['id']}/file")) == (409, "The disk is full.")
    assert files_of(world, export) == []
    assert ended(api, case, begun(api, case))["state"] == "done"


def test_without_a_detector_nothing_pretends_to_be_blurred(
    world: World, api: TestClient, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.services.engines, "detector", None)
    monkeypatch.setattr(world.services.engines, "error", "no weights")
    case = case_with(api, seen(81))
    export = ended(api, case, begun(api, case))
    assert export["state"] == "failed"
    assert export["error"].startswith("Bystanders cannot be found")
    plain = ended(api, case, begun(api, case, blur=False))
    assert (plain["state"], plain["blurred"]) == ("done", False)


def test_not_blurred_by_choice_it_says_so(world: World, api: TestClient, seen: Any, tmp_path: Path) -> None:
    one = seen(82)
    case = case_with(api, one)
    export = ended(api, case, begun(api, case, blur=False))
    record = world.services.gallery.get(one)
    assert record is not None
    with zipfile.ZipFile(fetched(api, case, export, tmp_path / "x.zip")) as archive:
        assert archive.read(f"pictures/{one}/0.jpg") == world.services.media.read(record.crops[0].key)
        assert "not made unrecognisable" in Page(archive.read("index.html").decode()).text
    assert events(world, "export", export)[0]["details"]["blurred"] is False


def test_pictures_that_are_gone_are_said_to_be(world: World, api: TestClient, seen: Any, tmp_path: Path) -> None:
    one = seen(83)
    record = world.services.gallery.get(one)
    assert record is not None
    base = Path(world.settings.media_base.removeprefix("file://"))
    (base / record.crops[0].key).unlink()
    (base / record.crops[1].key).write_bytes(b"no picture")
    case = case_with(api, one)
    export = ended(api, case, begun(api, case))
    with zipfile.ZipFile(fetched(api, case, export, tmp_path / "x.zip")) as archive:
        (told,) = json.loads(archive.read("case.json"))["sightings"]
        page = Page(archive.read("index.html").decode())
    assert [p["path"] for p in told["pictures"]] == [None, None, f"pictures/{one}/2.jpg"]
    assert page.pictures == [f"pictures/{one}/2.jpg"]
    assert "2 of its pictures are gone" in page.text


def test_encrypted_at_rest_nothing_of_it_lies_in_the_clear(
    world: World, api: TestClient, seen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, secret = world.services.exports, "a word that is nowhere else"
    monkeypatch.setattr(store, "_sealer", Sealer([bytes(32)]))
    case = case_with(api, seen(88), seen(89), title=secret)
    export = ended(api, case, begun(api, case))
    stored = store.file(export["id"]).read_bytes()
    assert not [word for word in (b"PK\x03\x04", b"JFIF", b"pictures/", secret.encode()) if word in stored]
    file = fetched(api, case, export, tmp_path / "x.zip")
    assert verify_export(file, [export["key"]]).findings == ()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == export["sha256"]
    monkeypatch.setattr(store, "_sealer", Sealer([bytes(31) + b"x"]))
    refused = api.get(f"{case}/exports/{export['id']}/file")
    assert problem(refused) == (409, "It is encrypted with a key that is not there any more. Export the case again.")


def test_another_key_takes_the_place_of_the_first_and_a_withdrawn_one_stays_withdrawn(
    world: World, api: TestClient, seen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, (old, new) = world.services.exports, (bytes(31) + b"a", bytes(31) + b"b")
    one = seen(92)
    case = case_with(api, one)
    plain = ended(api, case, begun(api, case))
    monkeypatch.setattr(store, "_sealer", Sealer([old]))
    sealed = ended(api, case, begun(api, case))
    monkeypatch.setattr(store, "_sealer", Sealer([new, old]))
    assert store.reseal()[0] >= 2
    done, closed = store.reseal()  # another test's key is not there
    assert (done, [line for line in closed if plain["id"] in line or sealed["id"] in line]) == (0, [])
    monkeypatch.setattr(store, "_sealer", Sealer([new]))
    for export in (plain, sealed):
        file = fetched(api, case, export, tmp_path / f"{export['id']}.zip")
        assert hashlib.sha256(file.read_bytes()).hexdigest() == export["sha256"]
    monkeypatch.setattr(store, "_sealer", Sealer([old, new]))
    before = ExportFile.sync

    def erased_meanwhile(self: ExportFile) -> None:
        store.erase([one])
        before(self)

    monkeypatch.setattr(ExportFile, "sync", erased_meanwhile)
    store.reseal()
    assert files_of(world, sealed) == files_of(world, plain) == []


def test_files_go_when_their_time_is_over(world: World, api: TestClient, seen: Any) -> None:
    case, store = case_with(api, seen(84)), world.services.exports
    export = ended(api, case, begun(api, case))
    stray = world.settings.exports_dir / "notes.txt"
    stray.write_text("left by somebody")
    store.sweep(datetime.now(UTC))
    assert files_of(world, export) == [f"{export['id']}.zip"]
    assert not stray.exists()
    store.sweep(datetime.now(UTC) + timedelta(days=world.settings.export_days, seconds=1))
    assert files_of(world, export) == []
    assert problem(api.get(f"{case}/exports/{export['id']}/file")) == (409, "The export is expired.")
    store.sweep(datetime.now(UTC) + timedelta(days=31))
    assert api.get(f"{case}/exports/{export['id']}").status_code == 404


def test_a_file_that_is_elsewhere(world: World, api: TestClient, seen: Any) -> None:
    case = case_with(api, seen(85))
    export = ended(api, case, begun(api, case))
    world.services.exports.file(export["id"]).unlink()
    assert problem(api.get(f"{case}/exports/{export['id']}/file")) == (409, "Its file is not on this machine.")


def test_a_key_that_is_none_fails_the_export_and_is_left_alone(world: World, api: TestClient, seen: Any) -> None:
    path, case = world.settings.data_dir / "export-key.pem", case_with(api, seen(86))
    before = path.read_bytes()
    path.write_bytes(b"damaged")
    try:
        export = ended(api, case, begun(api, case))
        assert export["state"] == "failed"
        assert path.read_bytes() == b"damaged"
    finally:
        path.write_bytes(before)


def test_one_that_cannot_be_read_stops_no_erasure(world: World, api: TestClient, seen: Any) -> None:
    one, redis = seen(87), world.services.redis
    case = case_with(api, one)
    export = ended(api, case, begun(api, case))
    redis.hset("tapetum:exports", export["id"], b"{}")
    assert world.services.exports.erase([one]) == 1
    assert files_of(world, export) == []
    redis.hdel("tapetum:exports", export["id"])
