"""Nothing is open: every route and socket without a login, forged requests, headers, sessions, throttling."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect
from support.api_world import PASSWORD, World, bearer, client_of, world_in

from pipeline.camera import CameraConfig
from service.api.scoped import Scoped
from service.audit import Trail
from service.security import AccessDenied, Role
from service.security.gate import COOKIE, OPEN_PATHS
from service.security.throttle import LoginThrottle

# NiceGUI looks through all living objects when it starts, and meets one of torch's that complains.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.distributed.reduce_op`:FutureWarning")
PROXY = "10.9.8.7"
SAME = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # The one application of this process with the dashboard in it.
    with world_in(
        tmp_path_factory.mktemp("gate"), dashboard=True, metrics_token="metrics-secret", trusted_proxies=(PROXY,)
    ) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(world: World, running: TestClient) -> TestClient:
    running.cookies.clear()
    for key in world.services.redis.scan_iter("tapetum:login:*"):
        world.services.redis.delete(key)
    return running


def _walk(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield "GET", prefix + route.path + "/anything"
            yield "WEBSOCKET", prefix + route.path + "/socket.io/"
            yield from _walk(list(route.routes), prefix + route.path)
        elif isinstance(route, WebSocketRoute | APIWebSocketRoute):
            yield "WEBSOCKET", prefix + route.path
        elif isinstance(route, Route | APIRoute):
            for method in route.methods or {"GET"}:
                yield method, prefix + route.path
        else:  # an included router, which FastAPI unfolds on demand
            for context in route.effective_route_contexts():  # type: ignore[attr-defined]
                if context.path:
                    yield from ((method, context.path) for method in context.methods)
                else:
                    yield from _walk([context.starlette_route], prefix)


def test_every_route_and_socket_needs_a_login(world: World, client: TestClient) -> None:
    walked = set(_walk(list(world.app.routes)))
    documented = {
        (method.upper(), path) for path, methods in world.app.openapi()["paths"].items() for method in methods
    }
    walked |= documented | {("WEBSOCKET", "/_nicegui_ws/socket.io/"), ("GET", "/_nicegui_ws/socket.io/")}
    assert {("WEBSOCKET", "/api/v1/live"), ("GET", "/metrics"), ("GET", "/"), ("POST", "/api/v1/search")} <= walked
    assert ("GET", "/api/v1/openapi.json") in walked
    opened = set()
    for method, template in walked:
        path = re.sub(r"\{[^}]*\}", "x", template)
        if method == "WEBSOCKET":
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
                pass
            continue
        answer = client.request(method, path)
        if answer.status_code != 401:
            opened.add((method, path, answer.status_code))
    allowed = {(m, p) for p in OPEN_PATHS for m in ("GET", "HEAD")} | {("POST", "/api/v1/session")}
    assert {(m, p) for m, p, _ in opened} <= allowed, opened
    assert ("POST", "/api/v1/session") in {(m, p) for m, p, _ in opened}


@pytest.mark.parametrize(
    "path",
    ["/login/../api/v1/cameras", "/health/live/../../api/v1/cameras", "/%6cogin/x", "//login", "/login%2f..%2fmetrics",
     "/health/live/", "/login/login.css/", "/LOGIN", "/api/v1/session/", "/login/%2e%2e/metrics"],
)  # fmt: skip
def test_tricks_with_paths_open_nothing(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize(("peer", "believed"), [(PROXY, True), ("203.0.113.5", False)])
def test_only_a_trusted_proxy_says_who_asks_and_how(
    world: World, client: TestClient, peer: str, believed: bool
) -> None:
    through = TestClient(world.app, base_url="http://testserver", client=(peer, 50000))
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.4"}
    answer = through.post("/api/v1/session", headers=headers, json={"account": "admin", "password": PASSWORD})
    assert answer.status_code < 300
    assert ("Secure" in answer.headers["set-cookie"]) is believed
    # Each address has a throttle of its own, and one for all.
    for address in ("198.51.100.4", "198.51.100.5"):
        headers["X-Forwarded-For"] = address
        through.post("/api/v1/session", headers=headers, json={"account": "admin", "password": "wrong"})
    assert len(list(world.services.redis.scan_iter("tapetum:login:*"))) == (3 if believed else 2)


def test_a_page_is_sent_to_the_login_and_comes_back(client: TestClient) -> None:
    answer = client.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2F"
    assert "password" in client.get("/login").text


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/search/01K?by=camera&x=%26", "%2Fsearch%2F01K%3Fby%3Dcamera%26x%3D%2526"),
        ("/search?" + "x" * 1001, "%2Fsearch"),
        ("/x%0d%0aSet-Cookie:a=b?c=%0d%0a", "%2Fx%250D%250ASet-Cookie%253Aa%253Db%3Fc%3D%250d%250a"),
    ],
)
def test_the_login_keeps_the_question_of_a_page(client: TestClient, path: str, there: str) -> None:
    answer = client.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={there}")


def test_who_was_logged_in_is_told_why_they_are_not(client: TestClient) -> None:
    answer = client.get("/audit", headers={"Accept": "text/html", "Cookie": "tapetum_session=worthless"})
    assert answer.headers["location"] == "/login?because=ended&next=%2Faudit"
    assert "You are logged out" in client.get(answer.headers["location"]).text
    for nothing in ("", "x", "<script>", "because"):
        assert 'class="because"' not in client.get("/login", params={"because": nothing}).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"Authorization": "Bearer " + "A" * 43},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Cookie": f"{COOKIE}={'A' * 43}"},
        {"Cookie": f"{COOKIE}=*"},
        {"Authorization": "Bearer metrics-secret"},
        {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "admin", "X-Original-URL": "/login"},
    ],
)
def test_invented_credentials_do_not_open(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/api/v1/cameras", headers=headers).status_code == 401


def test_metrics_token_opens_metrics_only(client: TestClient) -> None:
    assert client.get("/metrics", headers=bearer("metrics-secret")).status_code == 200
    assert client.get("/metrics", headers=bearer("metrics-secreT")).status_code == 401
    assert client.get("/api/v1/system", headers=bearer("metrics-secret")).status_code == 401


def test_login_gives_a_session_that_logout_ends(world: World, client: TestClient) -> None:
    answer = client.post("/api/v1/session", json={"account": "admin", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie  # plain http here
    token = answer.json()["token"]
    assert client.get("/api/v1/session").json()["account"] == "admin"
    stored = b"".join(world.services.redis.scan_iter("*"))
    assert token.encode() not in stored
    assert client.delete("/api/v1/session", headers=SAME).status_code == 204
    client.cookies.clear()
    assert client.get("/api/v1/session", headers=bearer(token)).status_code == 401


def test_the_cookie_is_secure_over_tls(world: World, client: TestClient) -> None:
    secure = client.post("https://testserver/api/v1/session", json={"account": "admin", "password": PASSWORD})
    assert "Secure" in secure.headers["set-cookie"]


def test_an_open_socket_ends_with_its_session(world: World, client: TestClient) -> None:
    token = world.log_in(client)
    client.cookies.clear()
    world.services.cameras.declare(CameraConfig("late", "Late", "rtsp://192.168.1.9/x"))

    def watched_within(timeout_s: float, expected: frozenset[str]) -> bool:
        deadline = time.monotonic() + timeout_s
        while world.services.live.watched != expected and time.monotonic() < deadline:
            time.sleep(0.02)
        return world.services.live.watched == expected

    with client.websocket_connect("/api/v1/live", headers=bearer(token)) as socket:
        socket.send_text('{"watch": ["late"]}')
        assert watched_within(5, frozenset({"late"}))
        assert client.delete("/api/v1/session", headers=bearer(token)).status_code == 204
        assert watched_within(5, frozenset())
        assert socket.receive() == {"type": "websocket.close", "code": 4401, "reason": "session ended"}


def test_a_changed_password_ends_every_session(world: World, client: TestClient) -> None:
    token = world.log_in(client)
    assert client.get("/api/v1/session", headers=bearer(token)).status_code == 200
    world.services.accounts.set("admin", password=PASSWORD)
    assert client.get("/api/v1/session", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (SAME, 200),
        ({"Origin": "http://testserver"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver.evil.test"}, 403),
        ({"Origin": "http://testserver:81"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({**SAME, "Content-Type": "text/plain"}, 415),
        ({**SAME, "Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({**SAME, "Content-Type": "text/plain; application/json"}, 415),
    ],
)
def test_forged_requests_are_refused(world: World, client: TestClient, headers: dict[str, str], status: int) -> None:
    world.log_in(client)  # leaves the cookie
    body = json.dumps({"url": "rtsp://192.168.1.9/x"})
    answer = client.post("/api/v1/cameras/test", content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status, answer.text


def test_multipart_by_cookie_needs_the_header(world: World, client: TestClient) -> None:
    world.log_in(client)
    files = {"photo": ("x.jpg", b"\xff\xd8")}
    assert client.post("/api/v1/photos", files=files, headers=SAME).status_code == 403
    assert client.post("/api/v1/photos", files=files, headers={**SAME, "X-Tapetum-Request": "1"}).status_code == 422


def test_sockets_by_cookie_need_the_own_origin(world: World, client: TestClient) -> None:
    world.log_in(client)
    for headers in ({}, {"Origin": "http://evil.test"}):
        for path in ("/api/v1/live", "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"):
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(path, headers=headers):
                pass
    with client.websocket_connect("/api/v1/live", headers={"Origin": "http://testserver"}) as socket:
        socket.send_text('{"watch": []}')


def test_the_page_is_never_polled(world: World, client: TestClient) -> None:
    """Each poll would bring a login of its own, and so keep a page alive that was opened with more rights."""
    from nicegui import core

    headers = bearer(world.log_in(client))
    for query in ("EIO=4&transport=polling", "EIO=4", "EIO=4&transport=websocket&sid=x"):
        for method in ("GET", "POST", "OPTIONS"):
            answer = client.request(method, f"/_nicegui_ws/socket.io/?{query}", headers=headers)
            assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    # Nor by way of a websocket request that asks for it.
    polling = client.websocket_connect("/_nicegui_ws/socket.io/?EIO=4&transport=polling", headers=headers)
    with pytest.raises(WebSocketDisconnect) as refused, polling:
        pass
    assert refused.value.reason == '"Invalid transport"'
    assert core.sio.eio.transports == ["websocket"]


def test_a_page_whose_session_ended_changes_nothing_more(world: World, client: TestClient) -> None:
    _, session = world.services.sessions.open(world.services.accounts.add("page", PASSWORD, Role.ADMIN))
    scoped = Scoped(world.services, session.access, Trail("page"), session)
    camera = CameraConfig("of-the-page", "Of the page", "rtsp://192.168.1.9/x")
    scoped.add_camera(camera)
    world.services.accounts.set("page", role=Role.VIEWER)
    with pytest.raises(AccessDenied):
        scoped.remove_camera(camera.id)
    assert world.services.cameras.get(camera.id).config == camera
    assert scoped.access.cameras == frozenset()
    world.services.cameras.remove(camera.id)
    world.services.accounts.remove("page")


def test_a_cross_site_login_is_refused(client: TestClient) -> None:
    body = {"account": "admin", "password": PASSWORD}
    assert client.post("/api/v1/session", json=body, headers={"Origin": "http://evil.test"}).status_code == 403
    plain = client.post("/api/v1/session", content=json.dumps(body), headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415


def test_guessing_is_slowed_down_and_forwarded_addresses_do_not_help(client: TestClient) -> None:
    for i in range(10):
        answer = client.post(
            "/api/v1/session",
            json={"account": "admin", "password": f"guess-{i}"},
            headers={"X-Forwarded-For": f"10.0.0.{i}"},
        )
        assert answer.status_code == 401
        assert "guess" not in answer.text
    blocked = client.post("/api/v1/session", json={"account": "admin", "password": PASSWORD})
    assert blocked.status_code == 429
    assert int(blocked.headers["retry-after"]) > 0


def test_one_address_does_not_shut_out_the_others(world: World, client: TestClient) -> None:
    throttle = LoginThrottle(world.services.redis, per_address=2, over_all=5)
    assert [throttle.admit("10.2.0.1") > 0 for _ in range(20)] == [False] * 2 + [True] * 18
    assert [throttle.admit(f"10.2.1.{i}") > 0 for i in range(4)] == [False] * 3 + [True]


def test_many_addresses_together_are_slowed_down_too(world: World, client: TestClient) -> None:
    throttle = LoginThrottle(world.services.redis, over_all=5, over_all_window_s=1)
    assert [throttle.admit(f"10.1.0.{i}") > 0 for i in range(7)] == [False] * 5 + [True] * 2
    time.sleep(1.1)
    assert throttle.admit("10.1.1.1") == 0


def test_headers_and_request_ids(world: World, client: TestClient) -> None:
    answer = client.get("/api/v1/system", headers={**bearer(world.log_in(client)), "X-Request-ID": "my-request-1"})
    assert answer.headers["x-request-id"] == "my-request-1"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    hostile = client.get("/health/live", headers={"X-Request-ID": "a b\tc<script>"})
    assert re.fullmatch(r"[0-9a-f]{16}", hostile.headers["x-request-id"])


def test_the_page_does_not_answer_for_the_api(world: World, client: TestClient) -> None:
    login = bearer(world.log_in(client))
    client.cookies.clear()
    for method, path, status in (
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v2/cameras", 404),
        ("PUT", "/api/v1/cameras", 405),
        ("OPTIONS", "/api/v1/searches", 405),
        ("PATCH", "/api/v1/users/me/password", 405),
    ):
        answer = client.request(method, path, headers={**login, "Accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert client.put("/api/v1/cameras", headers=login).headers["allow"] == "GET, POST"
    assert client.patch("/api/v1/users/me/password", headers=login).headers["allow"] == "POST"
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/api/v1/nothing", headers=login):
        pass
    assert closed.value.code == 4404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/login", 200), ("/login/login.js", 200), ("/login/nothing", 401), ("/", 401), ("/_nicegui/x.js", 401),
     ("/api/v1/nothing", 401), ("/health/live", 200), ("/metrics", 401)],
)  # fmt: skip
def test_every_answer_is_dressed(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert {"x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy"} <= set(answer.headers)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])


def test_the_page_loads_nothing_from_elsewhere(world: World, client: TestClient) -> None:
    world.log_in(client)
    page = client.get("/").text
    assert "Tapetum" in page
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", page)
