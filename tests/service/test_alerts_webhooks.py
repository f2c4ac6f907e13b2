"""Webhooks: signed, tried again, given up, and to no address that they may not go to."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.cameras import talker, wait_for
from support.tracklets import unit_vector
from support.watchlists import Desk
from support.webhooks import SECRET, Target, answer, strange_target, target, webhook_to

from service.alerts import keys, posting, sender
from service.alerts.posting import post
from service.alerts.sender import WebhookSender, pause_after
from service.alerts.signature import check_secret, fresh_secret, signed
from service.alerts.webhook_address import WebhookPolicy, WebhookUrlError, check_webhook_url
from service.alerts.webhook_store import MAX_WEBHOOKS, WebhookEnded, WebhookError, WebhookStore
from service.gallery.records import RecordError

LOCAL = WebhookPolicy(allow_loopback=True)
BODY = b'{"type":"ping"}'


@pytest.fixture(autouse=True)
def _no_costly_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody logs in here."""
    monkeypatch.setattr("service.security.accounts.hashed", lambda password: "x")


@pytest.fixture
def desk(embedded_redis: Any) -> Desk:
    return Desk(embedded_redis.client())


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://hooks.example/", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("rtsp://hooks.example/", "begins with https://"),
        ("", "begins with https://"),
        ("https:hooks.example", "must begin with 'https://'"),
        ("http://hooks.example/", "with https only"),
        ("https://user:pw@hooks.example/", "holds no login"),
        ("https://127.0.0.1/", "this machine itself (webhook_allow_loopback is off)"),
        ("https://[::1]/", "this machine itself"),
        ("https://[::ffff:127.0.0.1]/", "this machine itself"),
        ("https://0.0.0.0/", "multicast or empty"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://0x7f.1/", "four decimal numbers"),
        ("https://10.0.0.7/", "private network (webhook_allow_private is off)"),
        ("https://192.168.1.9/", "private network"),
        ("https://[fd00::7]/", "private network"),
        ("https://169.254.169.254/latest/meta-data", "link-local or metadata"),
        ("https://100.100.100.200/", "link-local or metadata"),
        ("https://inside.example/", "private network"),
        ("https://hooks.example:99999/", "port"),
        ("https://hooks.example/\n", "control or invisible"),
        ("https://hooks.example/#x", "%23"),
        ("https://" + "a" * 3000, "longer than"),
        ("https://b\u00fccher.example/", "begins with xn--"),
    ],
)
def test_addresses_that_are_refused(url: str, sentence: str) -> None:
    with pytest.raises(WebhookUrlError) as refusal:
        check_webhook_url(url, WebhookPolicy(), resolve=known)
    assert sentence in str(refusal.value)
    assert "camera" not in str(refusal.value)
    assert "pw" not in str(refusal.value)


def known(name: str, port: int) -> Sequence[str]:
    inside = {"inside.example": ["93.184.216.34", "10.0.0.7"]}
    return inside.get(name, ["93.184.216.34"])


def test_addresses_that_are_allowed() -> None:
    assert check_webhook_url("https://hooks.example/x", WebhookPolicy(), resolve=known).addresses == ("93.184.216.34",)
    assert not check_webhook_url("http://127.0.0.1:9/", LOCAL).tls
    assert check_webhook_url("http://10.0.0.7/", WebhookPolicy(allow_private=True)).host == "10.0.0.7"
    with pytest.raises(WebhookUrlError, match="link-local"):
        check_webhook_url("http://169.254.169.254/", WebhookPolicy(allow_private=True, allow_loopback=True))


def test_a_name_that_points_elsewhere_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was public when it was set up is judged again for every message."""
    with target() as inside:
        monkeypatch.setattr("pipeline.camera_url._system_resolve", lambda *_: ["127.0.0.1"])
        port = inside.url.split(":")[2].split("/")[0]
        error = post(webhook_to(f"https://hooks.example:{port}/"), "01K9", BODY, WebhookPolicy())
        assert error is not None
        assert "this machine itself" in error
        assert inside.got == []


# -- signatures ------------------------------------------------------------------------------------


def test_a_signature_in_other_words() -> None:
    headers = signed(SECRET, "01K9", 1_700_000_000, b"body")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("01K9", "1700000000")
    key = base64.b64decode(SECRET.removeprefix("whsec_")).hex()
    said = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key}"],
        input=b"01K9.1700000000.body", capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    assert headers["webhook-signature"] == "v1," + base64.b64encode(bytes.fromhex(said.split()[-1])).decode()


def test_a_signature_of_the_standard_s_own_example() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, the test of its reference libraries."""
    secret, message = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    headers = signed(secret, message, 1_614_265_330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!", "whsec_c2hvcnQ=", "c" * 44, "whsec_" + "A" * 88])
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="expected whsec_ and 24 to 64 random bytes"):
        check_secret(secret)
    assert check_secret(fresh_secret()) != fresh_secret()


def received(headers: dict[str, str], body: bytes) -> None:
    """The receiver of docs/alerts.md, word for word."""
    page = (Path(__file__).parents[2] / "docs/alerts.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    exec(compile(code, "docs/alerts.md", "exec"), {"secret": SECRET, "headers": headers, "body": body})  # noqa: S102


def test_the_receiver_of_the_documentation() -> None:
    now = int(time.time())
    good = signed(SECRET, "01K9", now, b"body")
    received(good, b"body")
    for headers, body in (
        (good, b"bodY"),
        ({**good, "webhook-id": "01K8"}, b"body"),
        ({**good, "webhook-timestamp": str(now + 1)}, b"body"),
        ({**good, "webhook-signature": ""}, b"body"),
        (signed(fresh_secret(), "01K9", now, b"body"), b"body"),
        (signed(SECRET, "01K9", now - 301, b"body"), b"body"),
        (signed(SECRET, "01K9", now + 301, b"body"), b"body"),
    ):
        with pytest.raises(PermissionError):
            received(headers, body)


# -- one message -----------------------------------------------------------------------------------


def test_a_message_arrives_signed(desk: Desk) -> None:
    with target() as hook:
        assert post(webhook_to(hook.url), "01K9", BODY, LOCAL) is None
    ((headers, body),) = hook.got
    assert body == BODY
    received(headers, body)
    assert headers["content-type"] == "application/json"
    assert headers["host"] == hook.url.split("/")[2]
    assert headers["webhook-id"] == "01K9"
    assert SECRET not in str(headers)


@pytest.mark.parametrize("status", [200, 204, 299])
def test_what_counts_as_taken(status: int) -> None:
    with target(answer(status)) as hook:
        assert post(webhook_to(hook.url), "01K9", BODY, LOCAL) is None


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (answer(500, b"secret internals"), "The target answered 500."),
        (answer(404), "The target answered 404."),
        (b"HTTP/1.1 garbage\r\n\r\n", "The connection failed (RemoteProtocolError)."),
        (b"", "The connection failed (RemoteProtocolError)."),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, "The connection failed (RemoteProtocolError)."),
    ],
)
def test_what_does_not(said: bytes, sentence: str) -> None:
    with target(said) as hook:
        assert post(webhook_to(hook.url), "01K9", BODY, LOCAL) == sentence


def test_redirects_are_not_followed() -> None:
    with target() as inside, target(answer(307, Location=inside.url)) as hook:
        error = post(webhook_to(hook.url), "01K9", BODY, LOCAL)
        assert error == "The target answered 307, and redirects are not followed."
    assert inside.got == []


def test_nobody_there() -> None:
    with target() as hook:
        pass
    assert post(webhook_to(hook.url), "01K9", BODY, LOCAL) == "The connection failed (ConnectError)."


def silent(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(10)


def dripping(connection: socket.socket, stop: threading.Event) -> None:
    """A byte now and then: no single wait is ever too long."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not stop.wait(0.05):
        connection.sendall(b"x")


@pytest.mark.parametrize("speak", [silent, dripping])
def test_a_target_that_hangs(monkeypatch: pytest.MonkeyPatch, speak: Any) -> None:
    monkeypatch.setattr(posting, "TOTAL_S", 0.3)
    with strange_target(speak) as url:
        assert post(webhook_to(url), "01K9", BODY, LOCAL) == "The target did not answer within 0.3 s."


def test_a_target_that_sends_a_gigabyte() -> None:
    sent = 0

    def flood(connection: socket.socket, stop: threading.Event) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"x" * 1_000_000)
            sent += 1_000_000

    with strange_target(flood) as url:
        assert post(webhook_to(url), "01K9", BODY, LOCAL) is None
    assert sent < 50_000_000, "of the answer only the status is read"


def test_a_certificate_must_be_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was judged, and is still the name's."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
         "-addext", "subjectAltName=DNS:hooks.example", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setattr("pipeline.camera_url._system_resolve", lambda *_: ["127.0.0.1"])
    hook = Target()

    def speak(connection: socket.socket, stop: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            hook.speak(secured, stop)

    with talker(speak) as port:
        error = post(webhook_to(f"https://hooks.example:{port}/"), "01K9", BODY, LOCAL)
        assert error == "The connection failed (ConnectError).", "nobody vouches for it"
        trusted = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(posting, "_trusted", lambda: trusted)
        assert post(webhook_to(f"https://hooks.example:{port}/"), "01K9", BODY, LOCAL) is None
        assert post(webhook_to(f"https://other.example:{port}/"), "01K9", BODY, LOCAL) is not None
        assert post(webhook_to(f"https://127.0.0.1:{port}/"), "01K9", BODY, LOCAL) is not None
    assert len(hook.got) == 1


# -- from alert to target --------------------------------------------------------------------------


def sending(desk: Desk, store: WebhookStore, told: list[str]) -> WebhookSender:
    desk.matcher._webhooks = store.wanting
    return WebhookSender(store, desk.alerts, LOCAL, lambda: {"hall": "The hall"}, told.append)


def test_an_alert_reaches_those_who_want_it(desk: Desk) -> None:
    store, told = WebhookStore(desk.client), list[str]()
    running = sending(desk, store, told)
    with target() as every, target() as of_yard, target() as disabled:
        store.add(webhook_to(every.url))
        store.add(webhook_to(of_yard.url, cameras=frozenset({"yard"})))
        store.add(webhook_to(disabled.url, enabled=False))
        desk.watch(unit_vector(1), name="Missing boy", reason="case 7")
        desk.put(1, 1)
        running.start()
        try:
            desk.match()
            wait_for(lambda: told == ["delivered"], 10)
        finally:
            running.stop()
    assert (of_yard.got, disabled.got) == ([], [])
    (message,), (alert,) = every.messages, desk.raised()
    assert (message["type"], message["data"]["id"]) == ("alert", alert.id)
    assert message["data"]["entry"]["reason"] == "case 7"
    assert message["data"]["camera_name"] == "The hall"
    assert message["data"]["probability"] == alert.probability
    assert every.got[0][0]["webhook-id"] == alert.id
    received(*every.got[0])
    status = store.status(store.all()[0].id)
    assert (status.error, status.waiting, status.dead) == (None, 0, 0)


def test_again_and_again_and_in_the_end_not(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "MAX_ATTEMPTS", 3)
    monkeypatch.setattr(sender, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(sender, "_EVERY_S", 0.02)
    store, told = WebhookStore(desk.client), list[str]()
    running = sending(desk, store, told)
    with target(answer(500), answer(503), answer(500), answer(200)) as hook:
        webhook = webhook_to(hook.url)
        store.add(webhook)
        desk.watch(unit_vector(1))
        desk.put(1, 1)
        desk.match()
        running.start()
        try:
            wait_for(lambda: told == ["failed", "failed", "dead"], 10)
            (letter,), cursor = store.dead(webhook.id, 10)
            assert (letter.alert_id, letter.attempts, letter.error, cursor) == (
                desk.raised()[0].id, 3, "The target answered 500.", None,
            )  # fmt: skip
            assert store.status(webhook.id).dead == 1
            assert store.retry(webhook.id, ["01K9ZB3Q0V5W1T8R6J2N4M7XCD"]) == 0
            assert store.retry(webhook.id) == 1
            running.wake()
            wait_for(lambda: told[-1] == "delivered", 10)
        finally:
            running.stop()
    assert len({headers["webhook-id"] for headers, _ in hook.got}) == 1
    assert store.dead(webhook.id, 10) == ([], None)
    assert desk.client.hlen(keys.ATTEMPTS + webhook.id) == 0


def test_pauses_grow_with_jitter_and_have_an_end() -> None:
    pauses = [pause_after(n) for n in range(1, 10)]
    for number, pause in enumerate(pauses):
        longest = min(3600.0, 2.0 * 3**number)
        assert pause is not None
        assert longest / 2 <= pause <= longest
    assert pause_after(10) is None
    assert len({pause_after(3) for _ in range(20)}) > 10


def test_a_target_that_hangs_holds_up_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TOTAL_S", 3.0)
    store, told = WebhookStore(desk.client), list[str]()
    running = sending(desk, store, told)
    with strange_target(silent) as hanging, target() as good:
        store.add(webhook_to(hanging))
        store.add(webhook_to(good.url))
        desk.watch(unit_vector(1))
        running.start()
        try:
            for number in range(1, 6):
                desk.put(number, 1, minute=number * 5)
                desk.match()
                running.wake()
            wait_for(lambda: told.count("delivered") == 5, 10)
            assert "failed" not in told, "the other one still hangs"
        finally:
            running.stop()
    assert len(good.got) == 5


def test_two_senders_and_one_that_died(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    store, told = WebhookStore(desk.client), list[str]()
    senders = [sending(desk, store, told) for _ in range(2)]
    with target() as hook:
        webhook = webhook_to(hook.url)
        store.add(webhook)
        desk.watch(unit_vector(1))
        for number in range(1, 21):
            desk.put(number, 1, minute=number * 5)
        desk.match()
        taken = {store.claim(webhook.id, 0.5) for _ in range(3)}  # by processes that died at once
        assert len(taken - {None}) == 3
        for one in senders:
            one.start()
        try:
            wait_for(lambda: store.status(webhook.id).waiting == 0, 10)
        finally:
            for one in senders:
                one.stop()
    assert sorted(message["data"]["id"] for message in hook.messages) == sorted(alert.id for alert in desk.raised())


def test_a_message_that_cannot_be_made_is_given_up_like_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "MAX_ATTEMPTS", 1)
    store, told = WebhookStore(desk.client), list[str]()
    running = sending(desk, store, told)
    webhook = webhook_to("https://hooks.example/", secret="broken in Redis")
    store.add(webhook)
    desk.watch(unit_vector(1))
    desk.put(1, 1)
    desk.match()
    monkeypatch.setattr("pipeline.camera_url._system_resolve", lambda *_: ["93.184.216.34"])
    running.send(webhook, desk.raised()[0].id)
    assert told == ["dead"]
    assert store.dead(webhook.id, 1)[0][0].error == "The message could not be sent (ValueError)."


def test_an_alert_of_a_camera_that_a_webhook_wants_no_more(desk: Desk) -> None:
    store, told = WebhookStore(desk.client), list[str]()
    running = sending(desk, store, told)
    with target() as hook:
        webhook = webhook_to(hook.url)
        store.add(webhook)
        desk.watch(unit_vector(1))
        desk.put(1, 1, camera="hall")
        desk.match()
        narrowed = store.change(webhook.id, lambda old: replace(old, cameras=frozenset({"yard"})))
        assert narrowed is not None
        running.send(narrowed, desk.raised()[0].id)
    assert (hook.got, told, store.status(webhook.id).waiting) == ([], [], 0)


def test_an_erased_alert_is_not_sent_any_more(desk: Desk) -> None:
    store, told = WebhookStore(desk.client), list[str]()
    running = sending(desk, store, told)
    with target() as hook:
        webhook = webhook_to(hook.url)
        store.add(webhook)
        desk.watch(unit_vector(1))
        seen = desk.put(1, 1)
        desk.match()
        (alert,) = desk.raised()
        desk.alerts.erase([seen.id])
        running.send(webhook, alert.id)
        assert (hook.got, told, store.status(webhook.id).waiting) == ([], [], 0)


def test_a_removed_webhook_leaves_nothing(desk: Desk) -> None:
    store = WebhookStore(desk.client)
    webhook = webhook_to("https://hooks.example/")
    store.add(webhook)
    assert not store.add(webhook)
    desk.matcher._webhooks = store.wanting
    desk.watch(unit_vector(1))
    desk.put(1, 1)
    desk.match()
    store.failed(webhook.id, desk.raised()[0].id, datetime.now(UTC), "x", lambda _: None)
    assert store.status(webhook.id).dead == 1
    assert store.remove(webhook.id)
    assert not store.remove(webhook.id)
    store.note(webhook.id, datetime.now(UTC), "late")
    assert desk.client.keys("tapetum:webhooks*") == []
    assert store.get(webhook.id) is None
    with pytest.raises(WebhookEnded):
        store.add(webhook)


def test_the_store_keeps_its_bounds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.alerts.webhook_store.MAX_DEAD", 3)
    store = WebhookStore(desk.client)
    for _ in range(MAX_WEBHOOKS):
        store.add(webhook_to("https://hooks.example/"))
    with pytest.raises(WebhookError, match="as many as there may be"):
        store.add(webhook_to("https://hooks.example/"))
    desk.client.hset(keys.WEBHOOKS, "broken", "{")
    first = store.all()[0]
    assert len(store.all()) == MAX_WEBHOOKS
    ids = [f"01K9ZB3Q0V5W1T8R6J2N4M7XC{letter}" for letter in "ABCDE"]
    desk.client.zadd(keys.DUE + first.id, dict.fromkeys(ids, 0.0))
    for one in ids:
        store.failed(first.id, one, datetime.now(UTC), "x", lambda _: None)
    page, cursor = store.dead(first.id, 2)
    rest, end = store.dead(first.id, 2, cursor)
    assert [letter.alert_id for letter in (*page, *rest)] == ids[:1:-1]
    assert end is None
    assert desk.client.hlen(keys.ATTEMPTS + first.id) == 3
    with pytest.raises(ValueError, match="cursor"):
        store.dead(first.id, 2, "x.y")
    with pytest.raises(RecordError):
        store.change("broken", lambda webhook: webhook)


def test_what_waits_has_a_bound(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it cannot be sent: the target is asked once and hangs."""
    monkeypatch.setattr("service.alerts.webhook_store.MAX_DUE", 3)
    hangs, told = threading.Event(), list[str]()
    store = WebhookStore(desk.client)
    webhook = webhook_to("https://hooks.example/")
    store.add(webhook)
    ids = [f"01K9ZB3Q0V5W1T8R6J2N4M7XC{letter}" for letter in "ABCDE"]
    desk.client.zadd(keys.DUE + webhook.id, {one: -place for place, one in enumerate(ids)})
    desk.client.hset(keys.ATTEMPTS + webhook.id, ids[1], json.dumps({"count": 4, "error": "x"}))
    running = WebhookSender(store, desk.alerts, WebhookPolicy(), on_sent=told.append)
    monkeypatch.setattr(running, "send", lambda *_: hangs.wait(30))
    running.start()
    try:
        wait_for(lambda: len(told) == 2, 10)
        assert store.status(webhook.id).waiting == 3
        letters, _ = store.dead(webhook.id, 5)
        assert {(one.alert_id, one.attempts, one.error) for one in letters} == {
            (ids[0], 0, "Too many are waiting."),
            (ids[1], 4, "Too many are waiting."),
        }
        assert (told, store.status(webhook.id).dead) == (["dead", "dead"], 2)
        store.delivered(webhook.id, ids[0], datetime.now(UTC))  # it was on its way all the same
        assert store.status(webhook.id).dead == 1
    finally:
        hangs.set()
        running.stop()


def test_secrets_and_addresses_are_not_printed() -> None:
    webhook = webhook_to("https://hooks.example/services/T0/B0/token")
    assert SECRET not in repr(webhook)
    assert "token" not in repr(webhook)
