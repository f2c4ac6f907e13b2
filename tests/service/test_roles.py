"""Every route and socket, with every role, with and without a scope of cameras, by session, by token and without."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from support.api_world import PASSWORD, World, bearer, client_of, encoded, record_of, scene, world_in
from support.filmed import filmed

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraState
from service.api.access import check_permissions, permissions_of
from service.api.probing import CameraProbe, without_place
from service.api.scoped import Scoped
from service.audit import Trail
from service.camera_board import RedisCameraBoard
from service.cases import Case, CaseState, Member, Pin, PinKind
from service.dashboard.wording import camera_tile
from service.gallery import GalleryFilter
from service.security import Access, AccessDenied, Permission, Role

MINE, THEIRS, NOBODYS = "gate1", "vault", "nobod"  # of one length, so that answers can be compared byte by byte
NO_TRACKLET = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
NO_SEARCH = "01K9ZB3Q0V5W1T8R6J2N4M7XCE"
A_CASE = "01K9ZB3Q0V5W1T8R6J2N4M7XCF"  # everybody's, with pins of both cameras
NO_TOKEN = "0" * 16
SAID_OF_THEIRS = ("vault", "Secret safe", "10.0.0.77")
LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()
JSON = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A request that goes through as far as the permission lets it, and changes nothing."""

    method: str
    path: str
    body: JSON | None = None
    files: JSON | None = None
    params: JSON = field(default_factory=dict)


# Every operation of the OpenAPI document must be here; `{camera}` and `{tracklet}` are filled in.
CALLS = {
    "log_in": Call("POST", "/api/v1/session", {"account": "nobody", "password": "nothing"}),
    "get_session": Call("GET", "/api/v1/session"),
    "log_out": Call("DELETE", "/api/v1/session"),
    "list_cameras": Call("GET", "/api/v1/cameras"),
    "add_camera": Call("POST", "/api/v1/cameras", {"name": "x", "url": "rtsp://127.0.0.1/x"}),
    "test_camera_address": Call("POST", "/api/v1/cameras/test", {"url": "rtsp://192.168.1.9/x"}),
    "get_camera": Call("GET", "/api/v1/cameras/{camera}"),
    "change_camera": Call("PATCH", "/api/v1/cameras/{camera}", {"max_fps": 5}),
    "remove_camera": Call("DELETE", "/api/v1/cameras/{camera}"),
    "test_camera": Call("POST", "/api/v1/cameras/{camera}/test"),
    "get_camera_history": Call("GET", "/api/v1/cameras/{camera}/history"),
    "get_camera_snapshot": Call("GET", "/api/v1/cameras/{camera}/snapshot"),
    "get_camera_boxes": Call("GET", "/api/v1/cameras/{camera}/boxes"),
    "watch_camera": Call("GET", "/api/v1/cameras/{camera}/live"),
    "list_tracklets": Call("GET", "/api/v1/tracklets", params={"camera": "{camera}"}),
    "get_tracklet": Call("GET", "/api/v1/tracklets/{tracklet}"),
    "get_tracklet_crop": Call("GET", "/api/v1/tracklets/{tracklet}/crops/0"),
    "get_tracklet_thumbnail": Call("GET", "/api/v1/tracklets/{tracklet}/thumbnail"),
    "get_tracklet_scene": Call("GET", "/api/v1/tracklets/{tracklet}/scene"),
    "get_tracklet_clip": Call("GET", "/api/v1/tracklets/{tracklet}/clip"),
    "erase_tracklets": Call("POST", "/api/v1/erasures", {"tracklet_ids": ["{tracklet}"], "reason": "a test"}),
    "hold_tracklet": Call("PUT", "/api/v1/tracklets/{tracklet}/hold", {"reason": "a test"}),
    "lift_hold": Call("DELETE", "/api/v1/tracklets/{tracklet}/hold"),
    "find_persons_in_photo": Call("POST", "/api/v1/photos", files={"photo": ("x.png", b"no photo", "image/png")}),
    "search": Call("POST", "/api/v1/search", {"examples": [{"tracklet_id": "{tracklet}"}]}),
    "list_cases": Call("GET", "/api/v1/cases"),
    "add_case": Call("POST", "/api/v1/cases", {"title": "x", "members": ["nobody-there"]}),
    "get_case": Call("GET", f"/api/v1/cases/{A_CASE}"),
    "change_case": Call("PATCH", f"/api/v1/cases/{NO_TRACKLET}", {"revision": 1, "title": "x"}),
    "remove_case": Call("DELETE", f"/api/v1/cases/{NO_TRACKLET}", params={"revision": 1}),
    "list_notes": Call("GET", f"/api/v1/cases/{A_CASE}/notes"),
    "add_note": Call("POST", f"/api/v1/cases/{A_CASE}/notes", {"text": "x"}),
    "list_pins": Call("GET", f"/api/v1/cases/{A_CASE}/pins"),
    "pin": Call("POST", f"/api/v1/cases/{A_CASE}/pins", {"tracklet_ids": ["{tracklet}"]}),
    "unpin": Call("DELETE", f"/api/v1/cases/{A_CASE}/pins/{{tracklet}}"),
    "export_case": Call("POST", f"/api/v1/cases/{NO_TRACKLET}/exports", {"reason": "a test"}),
    "list_exports": Call("GET", f"/api/v1/cases/{A_CASE}/exports"),
    "get_export": Call("GET", f"/api/v1/cases/{A_CASE}/exports/{NO_TRACKLET}"),
    "fetch_export": Call("GET", f"/api/v1/cases/{A_CASE}/exports/{NO_TRACKLET}/file"),
    "remove_export": Call("DELETE", f"/api/v1/cases/{A_CASE}/exports/{NO_TRACKLET}"),
    "list_subjects": Call("GET", "/api/v1/subjects"),
    "add_subject": Call("POST", "/api/v1/subjects", {"tracklet_ids": ["{tracklet}"]}),
    "get_subject": Call("GET", f"/api/v1/subjects/{NO_TRACKLET}"),
    "rename_subject": Call("PATCH", f"/api/v1/subjects/{NO_TRACKLET}", {"revision": 1, "name": "x"}),
    "remove_subject": Call("DELETE", f"/api/v1/subjects/{NO_TRACKLET}", params={"revision": 1}),
    "decide_tracklet": Call("PUT", f"/api/v1/subjects/{NO_TRACKLET}/tracklets/{{tracklet}}", {"decision": "confirmed"}),
    "withdraw_tracklet": Call("DELETE", f"/api/v1/subjects/{NO_TRACKLET}/tracklets/{{tracklet}}"),
    "merge_subjects": Call(
        "POST", f"/api/v1/subjects/{NO_TRACKLET}/merge", {"revision": 1, "other_id": NO_TRACKLET, "other_revision": 1}
    ),
    "withdraw_merge": Call("DELETE", f"/api/v1/subjects/{NO_TRACKLET}/merge/{NO_TRACKLET}"),
    "split_subject": Call(
        "POST", f"/api/v1/subjects/{NO_TRACKLET}/split", {"revision": 1, "tracklet_ids": ["{tracklet}"]}
    ),
    "move_tracklets": Call(
        "POST",
        f"/api/v1/subjects/{NO_TRACKLET}/move",
        {"revision": 1, "tracklet_ids": ["{tracklet}"], "other_id": NO_SEARCH, "other_revision": 1},
    ),
    "propose_links": Call("POST", f"/api/v1/subjects/{NO_TRACKLET}/proposals", {}),
    "get_subject_timeline": Call("GET", f"/api/v1/subjects/{NO_TRACKLET}/timeline"),
    "list_plans": Call("GET", "/api/v1/plans"),
    "get_plan": Call("GET", "/api/v1/plans/Nowhere"),
    "put_plan": Call("PUT", "/api/v1/plans/Nowhere", {"width_m": 0}),
    "remove_plan": Call("DELETE", "/api/v1/plans/Nowhere"),
    "get_plan_image": Call("GET", "/api/v1/plans/Nowhere/image"),
    "put_plan_image": Call(
        "PUT", "/api/v1/plans/Nowhere/image", files={"image": ("x.png", b"no picture", "image/png")}
    ),
    "list_walking_times": Call("GET", "/api/v1/walking-times"),
    "set_walking_time": Call("PUT", "/api/v1/walking-times/{camera}/nobod", {"seconds": 5}),
    "remove_walking_time": Call("DELETE", "/api/v1/walking-times/{camera}/nobod"),
    "create_search": Call("POST", "/api/v1/searches", {"examples": [{"tracklet_id": "{tracklet}"}]}),
    "list_searches": Call("GET", "/api/v1/searches"),
    "get_search": Call("GET", f"/api/v1/searches/{NO_SEARCH}"),
    "group_search": Call("GET", f"/api/v1/searches/{NO_SEARCH}/groups"),
    "refresh_search": Call("POST", f"/api/v1/searches/{NO_SEARCH}/refresh"),
    "rename_search": Call("PATCH", f"/api/v1/searches/{NO_SEARCH}", {"name": "x"}),
    "delete_search": Call("DELETE", f"/api/v1/searches/{NO_SEARCH}"),
    "judge_match": Call("PUT", f"/api/v1/searches/{NO_SEARCH}/feedback/{{tracklet}}", {"verdict": "confirm"}),
    "unjudge_match": Call("DELETE", f"/api/v1/searches/{NO_SEARCH}/feedback/{{tracklet}}"),
    "list_watchlist": Call("GET", "/api/v1/watchlist"),
    "add_watch_entry": Call(
        "POST",
        "/api/v1/watchlist",
        {
            "name": "x",
            "reason": "a test",
            "examples": [{"tracklet_id": "{tracklet}"}],
            "cameras": ["{camera}"],
            "threshold": 0.9,
            "expires_at": LATER,
        },
    ),
    "get_watch_entry": Call("GET", f"/api/v1/watchlist/{NO_TRACKLET}"),
    "change_watch_entry": Call("PATCH", f"/api/v1/watchlist/{NO_TRACKLET}", {"revision": 1, "name": "x"}),
    "end_watch_entry": Call("DELETE", f"/api/v1/watchlist/{NO_TRACKLET}"),
    "list_alerts": Call("GET", "/api/v1/alerts", params={"camera": "{camera}"}),
    "stream_alerts": Call("GET", "/api/v1/alerts/stream"),
    "get_alert": Call("GET", f"/api/v1/alerts/{NO_TRACKLET}"),
    "acknowledge_alert": Call("PUT", f"/api/v1/alerts/{NO_TRACKLET}/acknowledgement", {}),
    "list_webhooks": Call("GET", "/api/v1/webhooks"),
    "add_webhook": Call("POST", "/api/v1/webhooks", {"name": "x", "url": "https://127.0.0.1/x"}),
    "get_webhook": Call("GET", f"/api/v1/webhooks/{NO_TRACKLET}"),
    "change_webhook": Call("PATCH", f"/api/v1/webhooks/{NO_TRACKLET}", {"name": "x"}),
    "remove_webhook": Call("DELETE", f"/api/v1/webhooks/{NO_TRACKLET}"),
    "test_webhook": Call("POST", f"/api/v1/webhooks/{NO_TRACKLET}/test"),
    "list_dead_letters": Call("GET", f"/api/v1/webhooks/{NO_TRACKLET}/dead-letters"),
    "resend_dead_letters": Call("POST", f"/api/v1/webhooks/{NO_TRACKLET}/dead-letters/resend", {}),
    "list_users": Call("GET", "/api/v1/users"),
    "add_user": Call("POST", "/api/v1/users", {"account": "x", "password": "short"}),
    "get_user": Call("GET", "/api/v1/users/nobody"),
    "change_user": Call("PATCH", "/api/v1/users/nobody", {"active": True}),
    "remove_user": Call("DELETE", "/api/v1/users/nobody"),
    "change_own_password": Call("POST", "/api/v1/users/me/password", {"current": "wrong", "new": "short"}),
    "list_tokens": Call("GET", "/api/v1/tokens"),
    "add_token": Call("POST", "/api/v1/tokens", {"name": "x", "expires_in_days": 1}),
    "revoke_token": Call("DELETE", f"/api/v1/tokens/{NO_TOKEN}"),
    "list_audit": Call("GET", "/api/v1/audit"),
    "verify_audit": Call("GET", "/api/v1/audit/verification"),
    "get_system": Call("GET", "/api/v1/system"),
    "get_system_history": Call("GET", "/api/v1/system/history"),
    "get_reembedding": Call("GET", "/api/v1/reembedding"),
    "start_reembedding": Call("POST", "/api/v1/reembedding", {"accept_losses": "perhaps"}),
    "pause_reembedding": Call("POST", "/api/v1/reembedding/pause"),
    "resume_reembedding": Call("POST", "/api/v1/reembedding/resume", {}),
    "stop_reembedding": Call("POST", "/api/v1/reembedding/stop"),
    "get_live": Call("GET", "/health/live"),
    "get_ready": Call("GET", "/health/ready"),
    "get_metrics": Call("GET", "/metrics"),
}
CHANGING = {
    "add_subject",
    "add_watch_entry",
    "erase_tracklets",
    "hold_tracklet",
}  # asked for what is not there, like what deletes
EMPTY_LISTS = {"list_tracklets", "list_alerts"}  # of a camera that is not there
OPEN = {"log_in", "get_live", "get_ready"}
OF_ONE_CAMERA = [name for name, c in CALLS.items() if "{camera}" in f"{c}" or "{tracklet}" in f"{c}"]
# What a token may not although its role may: to end, make, change or list logins, its own or others'.
NEVER_BY_TOKEN = {
    "log_out", "change_own_password", "add_token", "list_tokens", "revoke_token",
    "list_users", "add_user", "get_user", "change_user", "remove_user",
}  # fmt: skip
# The table of docs/security.md, written once more on purpose.
ALLOWED: dict[Role, set[str]] = {
    Role.VIEWER: {
        "get_session", "log_out", "list_cameras", "get_camera", "get_camera_history", "get_camera_snapshot",
        "get_camera_boxes", "watch_camera",
        "list_tracklets", "get_tracklet", "get_tracklet_crop", "get_tracklet_thumbnail",
        "get_tracklet_scene", "get_tracklet_clip", "search",
        "create_search", "list_searches", "get_search", "group_search", "refresh_search", "delete_search",
        "rename_search", "judge_match", "unjudge_match",
        "list_cases", "get_case", "list_notes", "list_pins",
        "list_subjects", "get_subject", "propose_links", "get_subject_timeline", "list_walking_times",
        "list_plans", "get_plan", "get_plan_image",
        "list_alerts", "stream_alerts", "get_alert",
        "change_own_password", "list_tokens", "add_token", "revoke_token",
    },
}  # fmt: skip
ALLOWED[Role.OPERATOR] = ALLOWED[Role.VIEWER] | {"find_persons_in_photo", "test_camera"}
ALLOWED[Role.OPERATOR] |= {
    "add_subject", "rename_subject", "remove_subject", "decide_tracklet", "withdraw_tracklet", "merge_subjects",
    "split_subject", "move_tracklets", "withdraw_merge", "add_case", "change_case", "remove_case", "add_note",
    "pin", "unpin", "export_case", "list_exports", "get_export", "fetch_export", "remove_export",
    "list_watchlist", "add_watch_entry", "get_watch_entry", "change_watch_entry", "end_watch_entry",
    "acknowledge_alert",
}  # fmt: skip
ALLOWED[Role.ADMIN] = set(CALLS) - OPEN
OF_EVERY_CAMERA = {
    "put_plan", "remove_plan", "put_plan_image",
    "add_camera", "test_camera_address", "list_users", "add_user", "get_user", "change_user", "remove_user",
    "list_audit", "verify_audit", "get_system", "get_system_history", "get_metrics",
    "list_webhooks", "add_webhook", "get_webhook", "change_webhook", "remove_webhook", "test_webhook",
    "list_dead_letters", "resend_dead_letters",
    "get_reembedding", "start_reembedding", "pause_reembedding", "resume_reembedding", "stop_reembedding",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("roles")) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(world: World, running: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr("service.api.live.FIRST_PICTURE_S", 0.02)
    monkeypatch.setattr("service.api.live.SILENT_S", 0.02)
    monkeypatch.setattr("service.api.alerts.STREAM_S", 0.02)
    for key in world.services.redis.scan_iter("tapetum:login:*"):
        world.services.redis.delete(key)
    running.cookies.clear()
    return running


@pytest.fixture(scope="module")
def tracklets(world: World, running: TestClient) -> dict[str, str]:
    """One camera for everybody and one for few, each with sightings of the same people."""
    services, ids = world.services, {}
    services.cameras.declare(CameraConfig(MINE, "Main gate", "rtsp://u:pw@192.168.1.20/x"))
    services.cameras.declare(CameraConfig(THEIRS, "Secret safe", "rtsp://u:pw@10.0.0.77/x"))
    for number in range(8):
        camera = (MINE, THEIRS)[number % 2]
        record = record_of(services.media, ("red", "red", "blue", "blue")[number % 4], number=number + 1, camera=camera)
        services.gallery.put(filmed(services.media, record))
        ids.setdefault(camera, record.id)
    # Another model's sightings may not be counted either.
    services.gallery.put(record_of(services.media, "red", number=50, camera=THEIRS, model_hash="older"))
    deadline = time.monotonic() + 10
    assert services.index is not None
    while len(services.index) < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    _open_case(world, ids)
    ids[NOBODYS] = NO_TRACKLET
    return ids


def _open_case(world: World, tracklets: dict[str, str]) -> None:
    """One that every account of these tests takes part in."""
    for role in Role:
        for cameras in (None, [MINE]):
            world.token_of(role, cameras)
    owner, *members = (Member(a.name, a.created_at) for a in world.services.accounts.list())
    now = datetime.now(UTC)
    world.services.cases.add(Case(A_CASE, "Everybody's", CaseState.OPEN, owner, tuple(members), now, now))
    pins = [Pin(PinKind.TRACKLET, one, camera, owner.account, now) for camera, one in tracklets.items()]
    assert world.services.cases.pin(A_CASE, pins) == 2


def _filled(value: Any, camera: str, tracklet: str) -> Any:
    return json.loads(json.dumps(value).replace("{camera}", camera).replace("{tracklet}", tracklet))


def _send(client: TestClient, call: Call, headers: dict[str, str], camera: str, tracklet: str) -> Any:
    client.cookies.clear()
    return client.request(
        call.method,
        _filled(call.path, camera, tracklet),
        headers=headers,
        json=_filled(call.body, camera, tracklet) if call.body is not None else None,
        files=call.files,
        params=_filled(call.params, camera, tracklet),
    )


def _api_token(world: World, role: Role, cameras: list[str] | None) -> str:
    """A token of an administrator, narrowed to a role and a scope."""
    owner = world.services.accounts.get("admin")
    assert owner is not None
    world.services.redis.delete("tapetum:tokens")
    return world.services.tokens.add(owner, "test", days=1, role=role, cameras=cameras)[0]


def test_every_operation_is_walked_and_declares_what_it_needs(world: World) -> None:
    operations = {
        operation["operationId"]: operation
        for methods in world.app.openapi()["paths"].values()
        for operation in methods.values()
    }
    assert set(CALLS) == set(operations)
    assert {name for name, operation in operations.items() if "x-permission" not in operation} == OPEN
    sockets = [(path, permission) for method, path, permission in permissions_of(world.app) if method == "WEBSOCKET"]
    assert sockets == [("/api/v1/live", Permission.VIEW)]


def test_an_application_with_a_forgotten_route_does_not_start(world: World) -> None:
    forgetful, inner = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter(prefix="/api/v1/inner")

    @inner.get("/forgotten")
    def forgotten() -> None: ...

    @inner.websocket("/forgotten-too")
    async def forgotten_too() -> None: ...

    forgetful.include_router(inner)
    with pytest.raises(RuntimeError, match=r"GET /api/v1/inner/forgotten, WEBSOCKET /api/v1/inner/forgotten-too"):
        check_permissions(forgetful)


@pytest.mark.parametrize("scoped", [False, True], ids=["all", "one"])
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", ["session", "token"])
def test_the_table_of_roles(
    world: World, client: TestClient, tracklets: dict[str, str], role: Role, scoped: bool, kind: str
) -> None:
    cameras = [MINE] if scoped else None
    token = _api_token(world, role, cameras) if kind == "token" else ""
    wrong = {}
    for name, call in CALLS.items():
        if name in OPEN:
            continue
        if kind == "session":
            token = world.token_of(role, cameras)
        allowed = name in ALLOWED[role]
        if (scoped and name in OF_EVERY_CAMERA) or (kind == "token" and name in NEVER_BY_TOKEN):
            allowed = False
        # What is not there cannot be harmed, and is as good for asking.
        target = NOBODYS if call.method in ("DELETE", "PATCH") or name in CHANGING else MINE
        answer = _send(client, call, bearer(token), target, tracklets[target])
        ended_at = answer.status_code in (200, 201, 204, 404, 422)
        if (answer.status_code == 403) is allowed or (allowed and not ended_at):
            wrong[name] = (answer.status_code, answer.text[:200])
        if answer.status_code == 403:
            assert answer.json()["detail"] == "Your account may not do this."
    assert wrong == {}


def test_without_a_login_nothing(client: TestClient, tracklets: dict[str, str]) -> None:
    for headers in ({}, bearer("tapetum_" + "A" * 43), bearer("A" * 43)):
        for name, call in CALLS.items():
            if name not in OPEN:
                answer = _send(client, call, headers, MINE, tracklets[MINE])
                assert answer.status_code == 401, name
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/v1/live", headers=headers):
            pass


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", OF_ONE_CAMERA)
def test_what_is_out_of_scope_is_like_what_never_was(
    world: World, client: TestClient, tracklets: dict[str, str], name: str, role: Role
) -> None:
    headers = bearer(world.token_of(role, [MINE]))
    answers = {}
    for camera in (THEIRS, NOBODYS):
        answer = _send(client, CALLS[name], headers, camera, tracklets[camera])
        text = answer.text.replace(camera, "?").replace(tracklets[camera], "?")
        text = text.replace(answer.headers["x-request-id"], "?")
        kept = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "ratelimit")}
        answers[camera] = (answer.status_code, kept, text)
    assert answers[THEIRS] == answers[NOBODYS]
    empty = '{"items":[],"next_cursor":null}'
    assert answers[THEIRS][0] in (403, 404) or (name in EMPTY_LISTS and answers[THEIRS][2] == empty)
    assert world.services.cameras.get(THEIRS).config.max_fps is None


@pytest.mark.parametrize("kind", ["session", "token"])
@pytest.mark.parametrize("role", list(Role))
def test_no_answer_tells_of_a_camera_out_of_scope(
    world: World, client: TestClient, tracklets: dict[str, str], role: Role, kind: str
) -> None:
    token = world.token_of(role, [MINE]) if kind == "session" else _api_token(world, role, [MINE])
    now = datetime.now(UTC)
    reports = [CameraHealth(c, CameraState.LIVE, "w", now, modality=Modality.VISIBLE) for c in (MINE, THEIRS)]
    RedisCameraBoard(world.services.redis, "w", 4).report(reports)
    theirs = {r.id for r in world.services.gallery.list(GalleryFilter(cameras=frozenset({THEIRS}))).records}
    for name, call in CALLS.items():
        if name in OPEN or name in CHANGING or call.method in ("DELETE", "PATCH"):
            continue
        answer = _send(client, call, bearer(token), MINE, tracklets[MINE])
        assert not [word for word in (*SAID_OF_THEIRS, *theirs) if word in answer.text], name
    pins = client.get(f"/api/v1/cases/{A_CASE}/pins", headers=bearer(token)).json()["items"]
    assert [p["tracklet"]["camera_id"] for p in pins] == [MINE]
    cameras = client.get("/api/v1/cameras", headers=bearer(token)).json()["items"]
    assert [c["id"] for c in cameras] == [MINE]
    assert cameras[0]["health"]["state"] == "live"
    assert (cameras[0]["url"] is None) is (role is not Role.ADMIN)


def _search(client: TestClient, token: str, body: JSON) -> Any:
    client.cookies.clear()
    return client.post("/api/v1/search", headers=bearer(token), json=body)


def test_a_search_stays_in_scope_in_results_filters_pages_and_counts(
    world: World, client: TestClient, tracklets: dict[str, str]
) -> None:
    token = world.token_of(Role.VIEWER, [MINE])
    body: JSON = {"examples": [{"tracklet_id": tracklets[MINE]}], "k": 1000}
    answer = _search(client, token, body).json()
    assert {m["tracklet"]["camera_id"] for m in answer["matches"]} == {MINE}
    assert len(answer["matches"]) == 3
    assert (answer["gallery_size"], answer["gallery_generation"], answer["left_out_other_model"]) == (4, None, 0)
    everything = _search(client, world.token_of(Role.VIEWER), body).json()
    assert (everything["gallery_size"], everything["left_out_other_model"]) == (8, 1)
    for filters in (
        {"cameras": [THEIRS]},
        {"cameras": [THEIRS, MINE], "exclude_cameras": [MINE]},
        {"exclude_cameras": [MINE]},
    ):
        outside = _search(client, token, {**body, "filters": filters}).json()
        assert (outside["matches"], outside["gallery_size"]) == ([], 4)
    seen, cursor = [], None
    while True:
        parameters = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = client.get("/api/v1/tracklets", headers=bearer(token), params=parameters).json()
        seen += [item["camera_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [MINE] * 4
    # Another account's cursor leads nowhere else.
    foreign = client.get("/api/v1/tracklets?limit=1", headers=bearer(world.token_of(Role.ADMIN))).json()["next_cursor"]
    page = client.get("/api/v1/tracklets", headers=bearer(token), params={"cursor": foreign}).json()
    assert {item["camera_id"] for item in page["items"]} == {MINE}


def test_a_photo_is_for_the_one_who_sent_it(world: World, client: TestClient, tracklets: dict[str, str]) -> None:
    sender, other = world.token_of(Role.OPERATOR), world.token_of(Role.OPERATOR, [MINE])
    files = {"photo": ("x.png", encoded(scene(["red"]), ".png"), "image/png")}
    photo = client.post("/api/v1/photos", headers=bearer(sender), files=files).json()["id"]
    body = {"examples": [{"photo_id": photo}]}
    assert _search(client, sender, body).status_code == 200
    taken = _search(client, other, body)
    unknown = _search(client, other, {"examples": [{"photo_id": "there-is-no-such-photo"}]})
    assert taken.status_code == unknown.status_code == 404
    assert taken.json()["detail"] == unknown.json()["detail"]
    # Who may not use photos any more may not use old ones either.
    world.services.accounts.set("operator-all", role=Role.VIEWER)
    account = world.services.accounts.get("operator-all")
    assert account is not None
    assert _search(client, world.services.sessions.open(account)[0], body).status_code == 403
    world.services.accounts.remove("operator-all")


def test_the_socket_shows_cameras_in_scope_only(world: World, client: TestClient, tracklets: dict[str, str]) -> None:
    token = world.token_of(Role.VIEWER, [MINE])
    with client.websocket_connect("/api/v1/live", headers=bearer(token)) as socket:
        socket.send_text(json.dumps({"watch": [THEIRS, MINE, NOBODYS]}))
        deadline = time.monotonic() + 5
        while not world.services.live.watched and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert world.services.live.watched == {MINE}


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/cameras/%76ault",
        "/api/v1/cameras/%2576ault",
        "/api/v1/cameras/gate1/../vault",
        "/api/v1//cameras/vault",
        "/api/v1/cameras/vault/",
        "/api/v1/cameras/VAULT",
    ],
)
def test_spellings_of_a_path_reach_nothing_else(
    world: World, client: TestClient, tracklets: dict[str, str], path: str
) -> None:
    answer = client.get(path, headers=bearer(world.token_of(Role.VIEWER, [MINE])))
    assert answer.status_code in (404, 422)
    assert "Secret safe" not in answer.text


def test_rights_that_end_while_logged_in(world: World, client: TestClient, tracklets: dict[str, str]) -> None:
    services = world.services
    account = services.accounts.add("mover", PASSWORD, Role.ADMIN)
    token = services.sessions.open(account)[0]
    assert client.get("/api/v1/system", headers=bearer(token)).status_code == 200
    services.accounts.set("mover", role=Role.VIEWER)
    assert client.get("/api/v1/system", headers=bearer(token)).status_code == 401
    services.accounts.remove("mover")


def test_another_address_is_another_camera(world: World, client: TestClient, tracklets: dict[str, str]) -> None:
    """An administrator of one camera can neither make it look elsewhere nor at what another camera sees."""
    some, every = bearer(world.token_of(Role.ADMIN, [MINE])), bearer(world.token_of(Role.ADMIN))
    path, before = f"/api/v1/cameras/{MINE}", world.services.cameras.get(MINE).config
    for url in ("rtsp://10.0.0.77/x", "rtsp://u:pw@192.168.1.20/x", "rtsp://***@192.168.1.20/y"):
        assert client.patch(path, headers=some, json={"url": url}).status_code == 403
    kept = {"url": "rtsp://***@192.168.1.20/x", "max_fps": 4}  # what it is shown, unchanged
    assert client.patch(path, headers=some, json=kept).status_code == 200
    assert world.services.cameras.get(MINE).config.url == before.url
    # The stars of the shown address are no login.
    stars = {"name": "x", "url": "rtsp://***@192.168.1.20/other"}
    for answer in (
        client.patch(path, headers=every, json=stars),
        client.post("/api/v1/cameras", headers=every, json=stars),
    ):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "body.url"
    assert client.patch(path, headers=every, json={"url": "rtsp://u:pw@192.168.1.21/x"}).status_code == 200
    world.services.cameras.edit(before)


@pytest.mark.parametrize(
    ("url", "sentence", "told"),
    [
        ("rtsp://u:pw@192.168.1.20/x", "Nothing answered at 192.168.1.20:554 within 5 s.",
         "Nothing answered at the camera within 5 s."),
        ("rtsp://192.168.1.20:8554/x", "192.168.1.20:8554 ended the stream.", "The camera ended the stream."),
        ("rtsp://Cam-7.site.example/x", "The connection to cam-7.site.example:554 broke.",
         "The connection to the camera broke."),
        ("rtsp://cam", "cam:554 sends a webcam picture.", "The camera sends a webcam picture."),
        ("rtsp://cam/x", "The name 'cam' could not be resolved.", "The name '…' could not be resolved."),
        ("rtsp://[fd00::7]:9/x", "[fd00::7]:9 is silent for 2.5 s.", "The camera is silent for 2.5 s."),
        ("rtsp://cam/x", "cam:554 points to 10.0.0.3.", "The camera points to the camera."),
        ("/srv/films/yard.mp4", "yard.mp4 cannot be read as video.", "The camera cannot be read as video."),
        ("rtsp://192.168.1.20/x", "The camera stopped answering.", "The camera stopped answering."),
    ],
)  # fmt: skip
def test_a_sentence_without_the_place(url: str, sentence: str, told: str) -> None:
    assert without_place(sentence, url) == told


@pytest.mark.parametrize("role", list(Role))
def test_addresses_are_told_to_who_manages_cameras(
    world: World, client: TestClient, tracklets: dict[str, str], role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence, now = "Nothing answered at 192.168.1.20:554 within 5 s.", datetime.now(UTC)
    health = CameraHealth(MINE, CameraState.FAILED, "w", now, error=sentence)
    RedisCameraBoard(world.services.redis, "w", 4).report([health])
    loaders = replace(world.services.loaders, probe=lambda config, policy: CameraProbe(reason=sentence))
    monkeypatch.setattr(world.services, "loaders", loaders)
    token = world.token_of(role, [MINE])
    shown = [client.get(f"/api/v1/cameras/{MINE}", headers=bearer(token)).json()["health"]["error"]]
    if role is not Role.VIEWER:
        shown.append(client.post(f"/api/v1/cameras/{MINE}/test", headers=bearer(token)).json()["reason"])
    session = world.services.sessions.find(token)
    assert session is not None
    scoped = Scoped(world.services, session.access, Trail())
    shown.append(camera_tile(scoped, scoped.camera(MINE), health, now)["reason"])
    managing = role is Role.ADMIN
    assert set(shown) == {sentence if managing else "Nothing answered at the camera within 5 s."}


def test_readiness_and_photos_tell_no_paths(world: World, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = world.services.engines
    monkeypatch.setattr(engines, "model", None)
    monkeypatch.setattr(engines, "error", "no such file: /home/somebody/weights.onnx")
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["The re-identification model cannot be used. The log of the service says why."]
    files = {"photo": ("x.png", encoded(scene(["red"]), ".png"), "image/png")}
    photo = client.post("/api/v1/photos", headers=bearer(world.token_of(Role.OPERATOR)), files=files)
    assert photo.status_code == 503
    assert "somebody" not in photo.text
    assert "somebody" in client.get("/api/v1/system", headers=bearer(world.token_of(Role.ADMIN))).text


def test_access_says_what_it_means() -> None:
    gate = Access("a", Role.ADMIN, frozenset({"gate"}))
    assert gate.sees("gate")
    assert not gate.sees("vault")
    assert gate.narrowed().cameras == {"gate"}
    assert gate.narrowed(GalleryFilter(cameras=frozenset({"vault"}))).cameras == frozenset()
    assert not gate.may(Permission.USERS)
    assert gate.may(Permission.MANAGE_CAMERAS)
    nothing = GalleryFilter()
    assert Access("a", Role.VIEWER).narrowed(nothing) is nothing
    with pytest.raises(AccessDenied):
        Access("a", Role.VIEWER).require(Permission.PHOTOS)
