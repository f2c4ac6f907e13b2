"""What `tapetum serve` and `tapetum demo` say about the first password, whatever comes after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.command import run_command

from service.commands import serve
from service.demo_clips import demo_clips
from service.redis_server import client_for
from service.security import AccountStore
from service.settings import SettingsError, load_settings


class _NeverReady:
    def __init__(self, *_: Any, **__: Any) -> None: ...

    def start(self) -> None:
        raise RuntimeError("the worker cannot be started")


@pytest.mark.parametrize("fresh", [False, True], ids=["serve", "demo"])
def test_the_password_is_printed_when_it_is_made(
    embedded_redis: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fresh: bool,
) -> None:
    """It is kept as a hash only: when nothing ever becomes ready, whoever started it can still log in later."""
    monkeypatch.setattr(serve, "Supervisor", _NeverReady)
    monkeypatch.setattr(serve, "_stop_on_signals", lambda: None)
    settings = load_settings(data_dir=tmp_path, redis_url=embedded_redis.url)
    with pytest.raises(RuntimeError, match="worker"):
        serve._run(settings, serve._connected(settings), None, fresh_password=fresh)
    said = capsys.readouterr()
    accounts = AccountStore(client_for(embedded_redis.url))
    assert accounts.verify("admin", said.out.split()[-1]) is not None
    assert said.err == ""


def test_a_password_of_an_earlier_version_is_named(
    embedded_redis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "Supervisor", _NeverReady)
    monkeypatch.setattr(serve, "_stop_on_signals", lambda: None)
    (tmp_path / "credentials.json").write_text("{}")
    settings = load_settings(data_dir=tmp_path, redis_url=embedded_redis.url)
    with pytest.raises(RuntimeError, match="worker"):
        serve._run(settings, serve._connected(settings), None, fresh_password=False)
    assert "`tapetum password`" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("TAPETUM_ENCRYPTION_KEYS", '["no key"]'), ("TAPETUM_OIDC_ISSUER", "https://login.example.test")],
)
def test_what_every_process_would_end_with_is_said_before_any_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, name: str, value: str
) -> None:
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(name, value)
    done = run_command(command, code=2)
    assert isinstance(done.exception, SettingsError)
    assert "TAPETUM_" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_new_data_of_the_demo_are_of_no_older_version(embedded_redis: Any, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, redis_url=embedded_redis.url)
    client = serve._connected(settings)
    clips = demo_clips()
    serve._declare_demo_cameras(client, clips, {clip.id: f"rtsp://127.0.0.1:1/{clip.id}" for clip in clips}, True)
    serve._connected(settings)
    assert list(tmp_path.glob("backups/*")) == []
