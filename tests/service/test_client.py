"""The typed client and the command that uses it, against a served application; answers get lost on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from support.api_world import CALIBRATION, PASSWORD, World, encoded, foreseeable_loaders, record_of, scene, world_in
from support.lost_answers import LosingAnswers
from support.served import served
from typer.testing import CliRunner

from pipeline.camera import CameraConfig
from service.api.schema import CameraChange, CameraCreate, SearchExample, SearchRequest
from service.api.schema_people import TokenCreate, UserCreate
from service.api.schema_searches import KeptSearchRequest
from service.cli import app
from service.client import (
    Client,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    UnreachableError,
)
from service.security import Role

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    with world_in(tmp_path_factory.mktemp("client"), loaders=loaders, photo_limit_per_minute=20) as world:
        yield world


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    for name in ("gate", "hall"):
        world.services.cameras.declare(CameraConfig(name, name.title(), "rtsp://192.168.1.9/x"))
    records = [
        record_of(world.services.media, ("red", "blue")[n % 2], number=n + 1, camera=("gate", "hall")[n % 2])
        for n in range(6)
    ]
    world.services.gallery.put_many(records)
    with served(world) as address:
        yield address


@pytest.fixture
def client(world: World, address: str) -> Iterator[Client]:
    with Client(address, token=world.token_of(Role.ADMIN), timeout_s=30) as client:
        yield client


@pytest.fixture
def unlucky(world: World, address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr("service.client.transport.FIRST_WAIT_S", 0.001)
    token = world.token_of(Role.ADMIN)
    with Client(address, token=token, transport=LosingAnswers(2), timeout_s=30) as client:
        yield client


def test_a_session_from_login_to_logout(world: World, address: str) -> None:
    with Client(address) as client:
        with pytest.raises(NotAllowedError) as refused:
            client.session()
        assert refused.value.kind == "not-logged-in"
        assert client.log_in("admin", PASSWORD).account == "admin"
        assert client.session().role is Role.ADMIN
        client.log_out()
        with pytest.raises(NotAllowedError):
            client.session()


def test_lists_go_over_all_pages(world: World, client: Client) -> None:
    ids = [one.id for one in client.tracklets.list(page_size=2)]
    assert len(ids) == 6
    assert ids == sorted(ids, reverse=True)
    assert {one.camera_id for one in client.tracklets.list(cameras=["hall"], page_size=1)} == {"hall"}
    assert [camera.id for camera in client.cameras.list()] == ["gate", "hall"]
    assert client.tracklets.thumbnail(ids[0])[:2] == b"\xff\xd8"
    entries = [entry.seq for entry in client.audit.list(page_size=2)]
    assert entries == list(range(entries[0], 0, -1))


def test_errors_bring_the_problem(client: Client) -> None:
    with pytest.raises(NotFoundError, match="There is no camera") as missing:
        client.cameras.get("nowhere")
    assert missing.value.problem.request_id
    with pytest.raises(RefusedError) as refused:
        client.cameras.add(CameraCreate(name="x", url="file:///etc/passwd"))
    assert refused.value.problem.errors is not None
    assert refused.value.problem.errors[0].field == "body.url"
    with pytest.raises(ConflictError):
        client.cameras.add(CameraCreate(id="gate", name="x", url="rtsp://192.168.1.9/x"))
    with Client("http://127.0.0.1:1", retries=0) as nobody, pytest.raises(UnreachableError, match="no answer from"):
        nobody.session()
    broken = httpx.MockTransport(lambda request: httpx.Response(502, text="<html>Bad gateway</html>"))
    refused_by = pytest.raises(UnavailableError, match=r"HTTP 502 from proxy\.example")
    with Client("http://proxy.example", retries=0, transport=broken) as proxied, refused_by:
        proxied.session()


def test_a_lost_answer_makes_nothing_twice(unlucky: Client, client: Client) -> None:
    sightings = [one.id for one in client.tracklets.list()]
    request = KeptSearchRequest(examples=[SearchExample(tracklet_id=sightings[0])])
    unlucky.searches.create(request)
    assert len(list(client.searches.list())) == 1


@pytest.mark.parametrize("noun", ["camera", "user", "token", "subject"])
def test_a_lost_answer_makes_one_of_each_noun(address: str, unlucky: Client, client: Client, noun: str) -> None:
    if noun == "camera":
        made = unlucky.cameras.add(CameraCreate(name="Back yard", url="rtsp://192.168.1.9/y"))
        assert [one.id for one in client.cameras.list() if one.name == "Back yard"] == [made.id]
        client.cameras.change(made.id, CameraChange(max_fps=5))
        client.cameras.remove(made.id)
    elif noun == "user":
        made_user = unlucky.users.add(UserCreate(account="lost", role=Role.VIEWER))
        assert (made_user.account, made_user.password) == ("lost", None)
        client.users.remove("lost")
    elif noun == "token":
        made_token = unlucky.tokens.add(TokenCreate(name="report"))
        assert [one.id for one in client.tokens.list() if one.name == "report"] == [made_token.id]
        with Client(address, token=made_token.token) as by_token:
            assert by_token.session().account
        client.tokens.revoke(made_token.id)
    else:
        sighting = next(client.tracklets.list()).id
        subject = unlucky.subjects.add([sighting], "Somebody")
        assert [one.id for one in client.subjects.list()] == [subject.id]
        client.subjects.remove(subject.id, subject.revision)


def test_a_key_is_for_one_request_and_is_free_when_nothing_was_made(client: Client) -> None:
    camera = CameraCreate(name="Keyed", url="rtsp://192.168.1.9/z")
    with pytest.raises(RefusedError):
        client.cameras.add(camera.model_copy(update={"url": "gopher://192.168.1.9"}), key="the-key-of-kim")
    made = client.cameras.add(camera, key="the-key-of-kim")
    assert client.cameras.add(camera, key="the-key-of-kim").id == made.id
    with pytest.raises(ConflictError) as taken:
        client.cameras.add(camera.model_copy(update={"name": "Other"}), key="the-key-of-kim")
    assert taken.value.kind == "idempotency-key-taken"
    client.cameras.remove(made.id)


def test_what_cannot_be_repeated_is_sent_once(unlucky: Client, client: Client) -> None:
    sighting = next(client.tracklets.list()).id
    with pytest.raises(UnreachableError):
        unlucky.searches.once(SearchRequest(examples=[SearchExample(tracklet_id=sighting)]))


def test_the_limits_of_a_login_are_told_and_kept(world: World, address: str) -> None:
    login = {"Authorization": f"Bearer {world.token_of(Role.OPERATOR)}"}
    photo = {"photo": ("x.png", encoded(scene(["red"]), ".png"))}
    with httpx.Client(base_url=f"{address}/api/v1", headers=login) as http:
        answers = [http.post("/photos", files=photo) for _ in range(21)]
        assert [answer.status_code for answer in answers] == [201] * 20 + [429]
        assert answers[0].headers["ratelimit-policy"] == '"photos";q=20;w=60'
        assert answers[0].headers["ratelimit"].startswith('"photos";r=19;t=')
        refused = answers[-1]
        assert refused.json()["type"] == "urn:tapetum:problem:too-many-requests"
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert http.get("/cameras").status_code == 200  # the others have a limit of their own
    # The account's other sessions are counted with this one, its tokens by themselves.
    with Client(address, token=world.token_of(Role.OPERATOR), retries=0) as again, pytest.raises(RateLimitedError) as e:
        again.photos.find_persons(encoded(scene(["red"])))
    assert e.value.retry_after_s
    owner = world.services.accounts.get("operator-all")
    assert owner is not None
    with Client(address, token=world.services.tokens.add(owner, "own", days=1)[0]) as by_token:
        assert by_token.photos.find_persons(encoded(scene(["red"]))).persons


def test_the_example_of_the_document_runs(
    world: World, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    example = found[1].replace("http://127.0.0.1:8420", address)
    (tmp_path / "photo.jpg").write_bytes(encoded(scene(["red"])))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAPETUM_TOKEN", world.token_of(Role.ADMIN))
    exec(compile(example, str(DOCUMENT), "exec"), {"__name__": "example"})  # noqa: S102
    said = capsys.readouterr().out
    assert "gate no worker" in said
    assert "1 Gate" in said
    assert len(list(tmp_path.glob("*.jpg"))) == 7


def test_the_search_command(world: World, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPETUM_TOKEN", world.token_of(Role.ADMIN))
    monkeypatch.setenv("TAPETUM_URL", address)
    one, two, none = tmp_path / "one.jpg", tmp_path / "two.jpg", tmp_path / "none.jpg"
    for path, colours in ((one, ["red"]), (two, ["red", "blue"]), (none, [])):
        path.write_bytes(encoded(scene(colours)))
    run = CliRunner().invoke
    found = run(app, ["search", str(one), "--json", "--k", "2", "--camera", "gate"])
    assert found.exit_code == 0, found.output
    matches = json.loads(found.stdout)["matches"]
    assert {match["tracklet"]["camera_id"] for match in matches} == {"gate"}
    told = run(app, ["search", str(two), "--person", "1"]).stdout
    assert re.search(r"^ +1 +>99% +-?\d\.\d{3}  ", told, re.MULTILINE), told
    for arguments, code, words in (
        ([str(two)], 1, "2 persons in the photo, choose one with --person: 0 at"),
        ([str(none)], 1, "nobody was found"),
        ([str(one), "--camera", "../x"], 1, "no camera ../x; there are: "),
        ([str(one), "--camera", "gate", "--camera", "gaet"], 1, "no camera gaet; there are: "),
        ([str(one), "--url", "http://127.0.0.1:1"], 1, "no answer from http://127.0.0.1:1"),
    ):
        refused = run(app, ["search", *arguments])
        assert (refused.exit_code, words in refused.stderr) == (code, True), refused.output
    monkeypatch.delenv("TAPETUM_TOKEN")
    monkeypatch.setenv("TAPETUM_PASSWORD", "wrong")
    refused = run(app, ["search", str(one)])
    assert (refused.exit_code, "password is wrong" in refused.stderr) == (1, True)
