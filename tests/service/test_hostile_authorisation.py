"""Ways around the login and the scope, at every operation. Roles, scopes, spellings of paths and tokens that end are in
test_roles.py, test_tokens.py and test_accounts.py; forged requests and forwarded headers in test_security_gate.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from support.api_world import (
    ADMIN,
    CALIBRATION,
    PASSWORD,
    World,
    bearer,
    client_of,
    encoded,
    foreseeable_loaders,
    scene,
    world_in,
)
from support.described import CAMERA, EXAMPLE, described, seed

from pipeline.camera import CameraConfig
from service.security import Role
from service.security.gate import COOKIE, OPEN_PATHS

ORIGIN = "https://wall.example"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    folder = tmp_path_factory.mktemp("authorisation")
    with world_in(folder, loaders=loaders, cors_origins=(ORIGIN,), rate_limit_per_minute=None) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world, follow_redirects=False) as client:
        seed(world)
        world.services.holds.place(EXAMPLE, "so that its example does not erase it", ADMIN)
        yield client


@pytest.fixture
def client(running: TestClient) -> TestClient:
    running.cookies.clear()
    return running


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _jwt(algorithm: str, key: bytes = b"", **claims: Any) -> str:
    signed = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part({'sub': 'admin', 'role': 'admin', **claims})}"
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest() if key else b""
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


INVENTED: dict[str, dict[str, str]] = {
    "alg none": bearer(_jwt("none")),
    "alg None": bearer(_jwt("None", exp=2**40)),
    "a guessed key": bearer(_jwt("HS256", b"secret", exp=2**40)),
    "an empty key": bearer(_jwt("HS256", b"\0")),
    "expired": bearer(_jwt("HS256", b"secret", exp=1)),
    "a key from the token": bearer(_part({"alg": "HS256", "jwk": {"kty": "oct", "k": "c2VjcmV0"}}) + ".e30.x"),
    "a key from a file": bearer(_part({"alg": "HS256", "kid": "../../../../dev/null"}) + "." + _part({}) + "."),
    "an api token that is none": bearer("tapetum_" + "A" * 43),
    "the id of a token": bearer("0" * 16),
    "redis": bearer("*"),
    "NUL": bearer("A" * 42 + "\\0"),
    "very long": bearer("A" * 20_000),
    "basic": {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()},
    "digest": {"Authorization": 'Digest username="admin"'},
    "a list": {"Authorization": "Bearer x, Bearer y"},
    "a user in a header": {"X-Forwarded-User": "admin", "Remote-User": "admin", "X-Remote-User": "admin"},
    "another address": {"X-Original-URL": "/health/live", "X-Rewrite-URL": "/health/live"},
    "this machine": {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    "another host": {"Host": "localhost"},
    "another method": {"X-HTTP-Method-Override": "GET", "X-Method-Override": "GET"},
    "a page that preflights": {"Origin": ORIGIN},
}


@pytest.mark.parametrize("name", INVENTED)
def test_no_operation_takes_an_invented_login(world: World, client: TestClient, name: str) -> None:
    for one in described(world.app):
        if one.path in OPEN_PATHS or one.name == "log_in":
            continue
        answer = client.request(one.method, one.path, params=one.params, json=one.body, headers=INVENTED[name])
        assert answer.status_code == 401, one.name
        assert answer.headers["content-type"] == "application/problem+json"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/v1/live", headers=INVENTED[name]):
        pass


@pytest.mark.parametrize("where", ["query", "cookie of another name", "cookie with an API token", "basic", "body"])
def test_a_login_counts_in_its_place_only(world: World, client: TestClient, where: str) -> None:
    """An address ends up in logs and histories, and a cookie is sent by forged requests too."""
    session = world.token_of(Role.ADMIN)
    owner = world.services.accounts.get("admin-all")
    assert owner is not None
    token, made = world.services.tokens.add(owner, where[:10], days=1)
    headers, params = {
        "query": ({}, {"token": session, "access_token": session, "api_key": token}),
        "cookie of another name": ({"Cookie": f"session={session}; token={token}"}, {}),
        "cookie with an API token": ({"Cookie": f"{COOKIE}={token}"}, {}),
        "basic": ({"Authorization": "Basic " + base64.b64encode(f"admin:{token}".encode()).decode()}, {}),
        "body": ({"X-Api-Key": token, "Token": token}, {}),
    }[where]
    assert client.get("/api/v1/cameras", headers=headers, params=params).status_code == 401
    assert client.get("/api/v1/cameras", headers=bearer(token)).status_code == 200
    world.services.tokens.revoke(made.id)


def test_what_is_for_one_login_is_kept_by_no_cache(world: World, client: TestClient) -> None:
    """Every answer, good or bad, of every operation; nor can a condition or a range get at it without a login."""
    login = bearer(world.token_of(Role.ADMIN))
    picture = f"/api/v1/tracklets/{EXAMPLE}/thumbnail"
    for one in list(described(world.app)):
        if one.path.startswith("/api/") and not one.endless and one.name != "log_out":
            for headers in (login, {}):
                answer = client.request(one.method, one.path, params=one.params, json=one.body, headers=headers)
                assert answer.headers["cache-control"] == "no-store", one.name
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "etag" not in answer.headers
    seed(world)
    for headers in (
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Wed, 01 Jan 2031 00:00:00 GMT"},
        {"Range": "bytes=0-1"},
    ):
        assert client.get(picture, headers=headers).status_code == 401
        assert client.get(picture, headers={**login, **headers}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/media/x.jpg", "/data/media", "/static/x", "/api/v1/media/x", "/.env", "/api", "/api/", "/api/v2/cameras",
     "/api/v1/../../etc/passwd", "/api/v1/tracklets/%2e%2e%2fcameras", "/api/v1/cameras;x=/health/live",
     "/health/live;/api/v1/cameras", "/health/live%00/api/v1/cameras", "/health/live?/api/v1/cameras#"],
)  # fmt: skip
def test_no_address_leads_around(client: TestClient, path: str) -> None:
    """Pictures have no address but the API's."""
    answer = client.get(path)
    assert answer.status_code == 401 or (answer.json() == {"live": True} and path.endswith("#")), answer.text


def test_ids_of_secrets_cannot_be_guessed(world: World, client: TestClient) -> None:
    login = bearer(world.token_of(Role.OPERATOR))
    files = {"photo": ("x.png", encoded(scene(["red"]), ".png"), "image/png")}
    photos = {client.post("/api/v1/photos", headers=login, files=files).json()["id"] for _ in range(5)}
    assert len({photo[:6] for photo in photos}) == 5  # nothing counts up
    assert all(len(photo) >= 24 for photo in photos)  # 18 random bytes


def test_secrets_are_told_once_and_kept_nowhere(world: World, client: TestClient) -> None:
    """Neither logs nor figures, Redis or the audit log hold a password, a token, or a picture's vector."""
    logged: list[Any] = []

    def keep(_: Any, __: str, event: Any) -> Any:
        logged.append(dict(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    try:
        admin = client.post("/api/v1/session", json={"account": "admin", "password": PASSWORD}).json()["token"]
        login = bearer(admin)
        token = client.post("/api/v1/tokens", json={"name": "secret test"}, headers=login).json()["token"]
        fresh = client.post("/api/v1/users", json={"account": "secretive"}, headers=login).json()["password"]
        given = {"account": "given", "password": "given-password-of-mine"}
        key = {"Idempotency-Key": "a-key-with-password"}
        assert client.post("/api/v1/users", json=given, headers={**login, **key}).status_code == 201
        camera = {"name": "With login", "url": "rtsp://viewer:camera-secret@192.168.1.9/x"}
        assert client.post("/api/v1/cameras", json=camera, headers=login).status_code == 201
        assert (
            client.post("/api/v1/session", json={"account": "admin", "password": "typed-by-mistake"}).status_code == 401
        )
        assert client.post("/api/v1/search", json={"examples": [{"tracklet_id": EXAMPLE}]}, headers=login).is_success
        told = [client.get(path, headers=login).text for path in ("/metrics", "/api/v1/audit", "/api/v1/users")]
        told += [
            client.get(path, headers=login).text for path in ("/api/v1/tokens", "/api/v1/cameras", "/api/v1/system")
        ]
    finally:
        structlog.configure(**before)
    secrets = [
        admin,
        token,
        fresh,
        PASSWORD,
        given["password"],
        "camera-secret",
        "typed-by-mistake",
        key["Idempotency-Key"],
    ]
    everywhere = json.dumps([logged, told], default=str)
    assert not [secret for secret in secrets if secret in everywhere]
    redis = world.services.redis
    stored = b"".join(bytes(redis.dump(name) or b"") + name for name in redis.scan_iter("*") if b"camera" not in name)
    assert not [secret for secret in secrets if secret.encode() in stored]
    digest = hashlib.sha256(given["password"].encode()).hexdigest().encode()
    assert digest not in stored


# -- other origins ---------------------------------------------------------------------------------


def test_only_the_origins_that_are_named_may_call_and_never_by_cookie(world: World, client: TestClient) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = client.options("/api/v1/search", headers={"Origin": ORIGIN, **ask})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in allowed.headers
    for origin in ("https://evil.example", "null", ORIGIN + ".evil.example", ORIGIN.replace("https", "http")):
        refused = client.options("/api/v1/search", headers={"Origin": origin, **ask})
        assert refused.status_code == 401
        assert not [name for name in refused.headers if name.startswith("access-control")]
    login = bearer(world.token_of(Role.VIEWER))
    answer = client.get("/api/v1/cameras", headers={"Origin": ORIGIN, **login})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "ratelimit" not in answer.headers  # without limit here
    assert "access-control-allow-origin" not in client.get("/api/v1/cameras", headers=login).headers
    assert "access-control-allow-origin" not in client.get("/health/live", headers={"Origin": ORIGIN}).headers
    world.log_in(client)  # leaves the cookie
    forged = client.post("/api/v1/search", json={"examples": [{"tracklet_id": EXAMPLE}]}, headers={"Origin": ORIGIN})
    assert forged.status_code == 403


def test_watching_a_camera_ends_with_the_right_to_see_it(world: World, client: TestClient) -> None:
    """Also for a socket that is open already."""
    world.services.cameras.declare(CameraConfig(CAMERA, CAMERA, "rtsp://192.168.1.20/x"))
    token = world.token_of(Role.VIEWER, [CAMERA])
    session = world.services.sessions.find(token)
    assert session is not None
    with client.websocket_connect("/api/v1/live", headers=bearer(token)) as socket:
        socket.send_text(json.dumps({"watch": [CAMERA]}))
        deadline = time.monotonic() + 10
        while CAMERA not in world.services.live.watched:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        world.services.accounts.set(session.access.account, cameras=["elsewhere"])
        assert socket.receive() == {"type": "websocket.close", "code": 4401, "reason": "session ended"}
