"""Login at a real provider on loopback: who is let in and as what, and every answer that must not be believed."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import RSAKey
from support.api_world import PASSWORD, World, bearer, client_of, world_in
from support.oidc_provider import CLIENT_ID, CLIENT_SECRET, Claims, OidcProvider, oidc_provider

from service.security import Role
from service.security.gate import COOKIE
from service.security.oidc import OidcError, provider_of
from service.settings import SettingsError, load_settings

REDIRECT = "http://localhost/login/oidc/callback"
GRANTS = {
    "cctv-leads": {"role": "operator", "cameras": "*"},
    "cctv-gate": {"role": "viewer", "cameras": ["gate"]},
}
MARA: Claims = {"sub": "u-1", "preferred_username": "Mara", "groups": ["staff", "cctv-gate"]}


def settings_for(provider: OidcProvider, **more: Any) -> dict[str, Any]:
    return {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_redirect_url": REDIRECT,
        "oidc_grants": GRANTS,
        **more,
    }


@pytest.fixture(scope="module")
def _provider() -> Iterator[OidcProvider]:
    with oidc_provider(REDIRECT, None) as provider:
        yield provider


@pytest.fixture
def provider(_provider: OidcProvider, world: World) -> OidcProvider:
    _provider.person, _provider.sign, _provider.metadata = dict(MARA), None, {}
    world.services.throttle.redis.delete(*world.services.redis.keys("tapetum:login:*") or ["x"])
    return _provider


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, _provider: OidcProvider) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("oidc"), **settings_for(_provider)) as world:
        yield world


@pytest.fixture(scope="module")
def _client(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


@pytest.fixture
def client(_client: TestClient) -> TestClient:
    _client.cookies.clear()
    return _client


def begin(client: TestClient, next_page: str | None = None) -> str:
    """The address of the provider that the browser is sent to."""
    params = {} if next_page is None else {"next": next_page}
    answer = client.get("/login/oidc", params=params, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.headers["location"])


def at_provider(address: str) -> str:
    """Log in there; the address that it sends the browser back to, without its host."""
    with httpx.Client(trust_env=False) as browser:
        back = urlsplit(str(browser.get(address).headers["location"]))
    return f"{back.path}?{back.query}"


def log_in(client: TestClient, next_page: str | None = None) -> Any:
    return client.get(at_provider(begin(client, next_page)), follow_redirects=False)


def refused(world: World, answer: Any, reason: str) -> None:
    """It was refused, nobody is logged in, and the audit log says why."""
    assert answer.status_code == 403, answer.text
    assert COOKIE not in answer.cookies
    newest = world.services.audit.newest()[0]
    assert newest["event"] == "login.refused"
    assert reason in newest["details"]["reason"]


def test_somebody_comes_in_with_what_their_groups_grant(
    world: World, client: TestClient, provider: OidcProvider
) -> None:
    answer = log_in(client, "/audit")
    assert answer.status_code == 200, answer.text
    assert 'content="0;url=/audit"' in answer.text
    header = answer.headers["set-cookie"]
    assert "HttpOnly" in header
    assert "SameSite=strict" in header
    who = client.get("/api/v1/session").json()
    assert (who["account"], who["role"], who["cameras"]) == ("mara", "viewer", ["gate"])
    asked = provider.asked[-1]
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    assert asked["scope"].split()[0] == "openid"
    entry = next(e for e in world.services.audit.newest() if e["event"] == "login")
    assert (entry["account"], entry["details"]["subject"], entry["details"]["role"]) == ("mara", "u-1", "viewer")
    admin = bearer(world.token_of(Role.ADMIN))
    assert client.get("/api/v1/users/mara", headers=admin).json()["single_sign_on"] is True
    same = {"Origin": "http://testserver"}
    assert client.delete("/api/v1/session", headers=same).status_code == 204
    assert client.get("/api/v1/session").status_code == 401


def test_what_changes_there_changes_here_and_ends_sessions(
    world: World, client: TestClient, provider: OidcProvider
) -> None:
    log_in(client)
    before = client.cookies[COOKIE]
    log_in(client)
    assert client.get("/api/v1/session", headers=bearer(before)).status_code == 200, "nothing changed: it goes on"
    provider.person = {**MARA, "preferred_username": "mara.married", "groups": ["cctv-gate", "cctv-leads"]}
    log_in(client)
    who = client.get("/api/v1/session").json()
    assert (who["account"], who["role"], who["cameras"]) == ("mara", "operator", None), (
        "the subject counts, not the name"
    )
    assert client.get("/api/v1/session", headers=bearer(before)).status_code == 401
    provider.person = {**MARA, "groups": ["staff"]}
    refused(world, log_in(client), "no grant matches")


@pytest.mark.parametrize("now", [{"groups": ["staff"]}, {"groups": ["staff"], "preferred_username": None}])
def test_who_is_granted_nothing_any_more_is_out_at_once(
    world: World, client: TestClient, provider: OidcProvider, now: Claims
) -> None:
    """What was opened or made while there was a grant ends with the login that is refused for want of one."""
    log_in(client)
    session = client.cookies[COOKIE]
    made = client.post("/api/v1/tokens", json={"name": "report"}, headers=bearer(session))
    token = made.json()["token"]
    assert client.get("/api/v1/session", headers=bearer(token)).status_code == 200
    provider.person = {**MARA, **now}
    refused(world, log_in(client), "no grant matches")
    client.cookies.clear()
    assert [client.get("/api/v1/session", headers=bearer(t)).status_code for t in (session, token)] == [401, 401]
    provider.person = dict(MARA)
    assert log_in(client).status_code == 200
    assert client.get("/api/v1/session").status_code == 200
    client.cookies.clear()
    assert client.get("/api/v1/session", headers=bearer(token)).status_code == 401


def test_its_password_is_changed_elsewhere(client: TestClient, provider: OidcProvider) -> None:
    log_in(client)
    body = {"current": "x", "new": PASSWORD}
    answer = client.post("/api/v1/users/me/password", json=body, headers={"Origin": "http://testserver"})
    assert answer.status_code == 422
    assert "login service" in answer.json()["detail"]


def test_such_an_account_has_no_password_and_no_role_of_its_own(
    world: World, client: TestClient, provider: OidcProvider
) -> None:
    log_in(client)
    client.cookies.clear()
    for password in ("", PASSWORD, "x" * 20):
        answer = client.post("/api/v1/session", json={"account": "mara", "password": password or "x"})
        assert answer.status_code == 401
    admin = bearer(world.token_of(Role.ADMIN))
    for change in ({"password": PASSWORD}, {"role": "admin"}, {"cameras": None}):
        answer = client.patch("/api/v1/users/mara", json=change, headers=admin)
        assert answer.status_code == 422, answer.text
        assert "login service" in answer.json()["detail"]
    assert client.patch("/api/v1/users/mara", json={"active": False}, headers=admin).status_code == 200
    refused(world, log_in(client), "disabled")
    assert client.patch("/api/v1/users/mara", json={"active": True}, headers=admin).status_code == 200
    assert log_in(client).status_code == 200


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ({"groups": []}, "no grant matches"),
        ({"groups": None}, "no grant matches"),
        ({"groups": {"cctv-leads": True}}, "no grant matches"),
        ({"groups": "CCTV-LEADS"}, "no grant matches"),
        ({"groups": ["admin", "administrators"]}, "no grant matches"),
        ({"preferred_username": None}, "no claim"),
        ({"preferred_username": "admin"}, "account"),
        ({"preferred_username": "local"}, "account"),
        ({"preferred_username": "<script>"}, "account"),
        ({"preferred_username": "mаra"}, "account"),  # the second letter is Cyrillic
        ({"sub": ""}, "subject"),
        ({"sub": 7}, ""),
        ({"sub": "x" * 256}, "subject"),
    ],
)
def test_who_is_not_let_in(
    world: World, client: TestClient, provider: OidcProvider, person: Claims, reason: str
) -> None:
    if world.services.accounts.get("local") is None:
        world.services.accounts.add("local", PASSWORD, Role.VIEWER)
    provider.person = {**MARA, "sub": "u-2", "preferred_username": "newcomer", **person}
    before = [account.name for account in world.services.accounts.list()]
    answer = log_in(client)
    refused(world, answer, reason)
    assert "<script>" not in answer.text
    assert [account.name for account in world.services.accounts.list()] == before


Forgery = Callable[[OidcProvider, Claims], str]
STRANGER = RSAKey.generate_key(2048, {"kid": "first"})


def _none(provider: OidcProvider, claims: Claims) -> str:
    return ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)) + "."


def _public_key_as_secret(provider: OidcProvider, claims: Claims) -> str:
    """By hand: the library refuses to make it."""
    head, body = (_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "first"}, claims))
    secret = provider.key.as_pem(private=False)
    return f"{head}.{body}.{_encoded(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _cut(provider: OidcProvider, claims: Claims) -> str:
    head, body, _ = provider.signed(claims).split(".")
    return f"{head}.{body}."


def _other_body(provider: OidcProvider, claims: Claims) -> str:
    head, _, signature = provider.signed(claims).split(".")
    return f"{head}.{_encoded(json.dumps({**claims, 'groups': ['cctv-leads']}).encode())}.{signature}"


def _with(**changes: Any) -> Forgery:
    return lambda provider, claims: provider.signed({k: v for k, v in {**claims, **changes}.items() if v is not None})


FORGERIES: dict[str, Forgery] = {
    "alg none": _none,
    "HS256 with the public key": _public_key_as_secret,
    "another's key": lambda p, c: jwt.encode({"alg": "RS256", "kid": "first"}, c, STRANGER),
    "a key id that is not there": lambda p, c: jwt.encode({"alg": "RS256", "kid": "second"}, c, STRANGER),
    "no signature": _cut,
    "another body": _other_body,
    "another issuer": _with(iss="https://evil.test"),
    "no issuer": _with(iss=None),
    "another audience": _with(aud="another-client"),
    "several audiences, for another": _with(aud=[CLIENT_ID, "other"], azp="other"),
    "no audience": _with(aud=None),
    "expired": _with(exp=int(time.time()) - 3600, iat=int(time.time()) - 7200),
    "no expiry": _with(exp=None),
    "not yet": _with(nbf=int(time.time()) + 3600),
    "another nonce": _with(nonce="another"),
    "no nonce": _with(nonce=None),
    "another access token": _with(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "no token": lambda p, c: "no-token",
    "no text": lambda p, c: 7,  # type: ignore[dict-item,return-value]
}


@pytest.mark.parametrize("forgery", sorted(FORGERIES))
def test_a_token_that_must_not_be_believed(
    world: World, client: TestClient, provider: OidcProvider, forgery: str
) -> None:
    provider.sign = lambda claims: FORGERIES[forgery](provider, claims)
    refused(world, log_in(client), "ID token")


def test_a_provider_may_change_its_keys(
    world: World, client: TestClient, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(client).status_code == 200
    monkeypatch.setattr(provider, "key", RSAKey.generate_key(2048, {"kid": "later", "use": "sig"}))
    monkeypatch.setattr("service.security.oidc._KEYS_AGAIN_S", 0.0)
    assert log_in(client).status_code == 200
    monkeypatch.undo()
    monkeypatch.setattr("service.security.oidc._KEYS_AGAIN_S", 0.0)
    assert log_in(client).status_code == 200


def test_only_the_browser_that_began_can_come_back(world: World, client: TestClient, provider: OidcProvider) -> None:
    back = at_provider(begin(client))
    kept = client.cookies["tapetum_oidc"]
    client.cookies.clear()
    assert client.get(back).status_code == 403, "a victim who is led to the attacker's way back"
    begin(client)
    assert client.get(back).status_code == 403, "another login's state"
    for cookie in ("", "x", base64.b64encode(b"[]").decode(), base64.b64encode(b"{}").decode(), "\xe4"):
        assert client.get(back, headers={"Cookie": f"tapetum_oidc={cookie}".encode("latin-1")}).status_code == 403
    state = {"state": "\ud800", "nonce": "n", "verifier": "v", "next": "/"}
    for text in (json.dumps(state), "[" * 20_000):
        cookie = base64.urlsafe_b64encode(text.encode()).decode()
        assert client.get(back, headers={"Cookie": f"tapetum_oidc={cookie}"}).status_code == 403
    assert client.get("/api/v1/session").status_code == 401
    client.cookies.clear()
    own = {"Cookie": f"tapetum_oidc={kept}"}
    assert client.get(back, headers=own).status_code == 200
    client.cookies.clear()
    refused(world, client.get(back, headers=own), "token endpoint")  # the code was used
    assert provider.refusals[-1] == "code"


def test_the_code_of_another_login_does_not_fit(world: World, client: TestClient, provider: OidcProvider) -> None:
    """Somebody else's code, put into one's own way back: PKCE stops it at the provider, the nonce here."""
    stolen = parse_qs(urlsplit(at_provider(begin(client))).query)["code"][0]
    own = at_provider(begin(client))
    state = parse_qs(urlsplit(own).query)["state"][0]
    answer = client.get("/login/oidc/callback", params={"code": stolen, "state": state})
    refused(world, answer, "token endpoint")
    assert provider.refusals[-1] == "verifier"


def test_an_answer_of_another_issuer_is_refused(
    world: World, client: TestClient, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = at_provider(begin(client))
    refused(world, client.get(f"{back}&iss=https://evil.test"), "another issuer")
    assert client.get(f"{at_provider(begin(client))}&iss={provider.issuer}").status_code == 200


def test_a_refusal_there_is_a_sentence_here(world: World, client: TestClient, provider: OidcProvider) -> None:
    provider.person = None
    refused(world, log_in(client), "no code")


@pytest.mark.parametrize(
    "where",
    ["//evil.test", "https://evil.test/", "/\\evil.test", "/x?y#z", "/x?<b>", "/x?\\", "javascript:x", '/"><b>'],
)
def test_the_way_on_stays_here(client: TestClient, provider: OidcProvider, where: str) -> None:
    assert 'content="0;url=/"' in log_in(client, where).text


def test_the_way_on_keeps_its_question(client: TestClient, provider: OidcProvider) -> None:
    assert 'content="0;url=/search/01K?by=camera&amp;x=%20y"' in log_in(client, "/search/01K?by=camera&x=%20y").text


def test_many_attempts_are_throttled(world: World, client: TestClient, provider: OidcProvider) -> None:
    statuses = []
    for _ in range(12):
        begin(client)
        state = json.loads(base64.urlsafe_b64decode(client.cookies["tapetum_oidc"]))["state"]
        statuses.append(client.get("/login/oidc/callback", params={"code": "guess", "state": state}).text)
    assert "Too many attempts" in statuses[-1]
    assert "Too many attempts" not in statuses[0]


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": "https://evil.test"}, {"token_endpoint": "http://evil.test/token"}, {"jwks_uri": None}],
)
def test_discovery_that_lies_is_refused(provider: OidcProvider, metadata: Claims) -> None:
    provider.metadata = metadata
    fresh = provider_of(load_settings(**settings_for(provider)))
    assert fresh is not None
    with pytest.raises(OidcError, match="cannot be accepted"):
        asyncio.run(fresh.begin())


def test_a_provider_that_is_away_is_said(world: World, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = provider_of(load_settings(**settings_for(OidcProvider(REDIRECT, None, "http://127.0.0.1:9"))))
    monkeypatch.setattr(world.services, "oidc", gone)
    answer = client.get("/login/oidc", follow_redirects=False)
    assert answer.status_code == 403
    assert "does not answer" in answer.text


def test_passwords_can_be_switched_off(tmp_path: Path, provider: OidcProvider) -> None:
    with world_in(tmp_path, **settings_for(provider, local_login=False)) as world, client_of(world) as client:
        answer = client.post("/api/v1/session", json={"account": "admin", "password": PASSWORD})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:tapetum:problem:no-passwords")
        assert log_in(client).status_code == 200


def test_without_a_provider_there_is_no_such_way(
    world: World, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.services, "oidc", None)
    for path in ("/login/oidc", "/login/oidc/callback?code=x&state=y"):
        assert client.get(path, follow_redirects=False).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"oidc_client_id": None}, "TAPETUM_OIDC_CLIENT_ID"),
        ({"oidc_redirect_url": None}, "TAPETUM_OIDC_REDIRECT_URL"),
        ({"oidc_redirect_url": "http://example.test/login/oidc/callback"}, "TAPETUM_OIDC_REDIRECT_URL"),
        ({"oidc_redirect_url": "https://example.test/elsewhere"}, "TAPETUM_OIDC_REDIRECT_URL"),
        ({"oidc_issuer": "http://example.test"}, "TAPETUM_OIDC_ISSUER"),
        ({"oidc_grants": {}}, "TAPETUM_OIDC_GRANTS"),
        ({"oidc_grants": {"x": {"role": "god", "cameras": "*"}}}, "oidc_grants"),
        ({"oidc_grants": {"x": {"role": "admin"}}}, "oidc_grants"),
        ({"oidc_issuer": None, "local_login": False}, "TAPETUM_LOCAL_LOGIN"),
    ],
)
def test_a_wrong_configuration_names_the_key(provider: OidcProvider, wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        provider_of(load_settings(**settings_for(provider, **wrong)))
