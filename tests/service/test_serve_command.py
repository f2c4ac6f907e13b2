"""What `tapetum serve` and `tapetum demo` say about the first password, whatever comes after."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from support.command import run_command

from models.checkpoint import CheckpointError
from pipeline.camera import CameraPosition
from service.camera_registry import CameraRegistry
from service.commands import serve
from service.demo_clips import demo_clips
from service.gallery import MediaError, MediaStore
from service.plans import PlanStore
from service.redis_server import client_for
from service.security import AccountStore
from service.settings import SettingsError, load_settings
from service.subjects import Walking, WalkingRules


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


def test_the_demos_cameras_stand_on_its_plan_and_stay_where_somebody_moved_them(
    embedded_redis: Any, tmp_path: Path
) -> None:
    settings = load_settings(data_dir=tmp_path, redis_url=embedded_redis.url)
    client = serve._connected(settings)
    clips = demo_clips()
    urls = {clip.id: f"rtsp://127.0.0.1:1/{clip.id}" for clip in clips}
    cameras, plans = CameraRegistry(client), PlanStore(client, MediaStore(settings.media_base))
    for _ in range(2):
        serve._declare_demo_cameras(client, clips, urls, True)
        serve._declare_demo_plan(client, settings)
    (plan,) = plans.list()
    assert plan.picture is not None
    assert len(list(tmp_path.rglob("*.webp"))) == 1
    assert np.asarray(Pillow.open(io.BytesIO(plans.picture(plan.picture)))).std() > 10
    places = [record.config.position for record in cameras.list()]
    assert len(places) == len(clips)
    for place in places:
        assert place is not None
        assert place.plan == plan.name
        assert 0 < (place.x_m or 0) < plan.width_m
        assert 0 < (place.y_m or 0) < plan.height_m
    least = Walking(WalkingRules(), {record.config.id: record.config.position for record in cameras.list()}).least_s
    assert {least(one.id, other.id) for one in clips for other in clips} == {0.0}  # its films are played all at once
    cameras.edit(replace(cameras.get("day-1").config, position=CameraPosition(x_m=1, y_m=2, plan="Elsewhere")))
    serve._declare_demo_cameras(client, clips, urls, True)
    assert cameras.get("day-1").config.position == CameraPosition(x_m=1, y_m=2, plan="Elsewhere")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("data_dir", "a file", "data_dir: .* cannot be made a folder"),
        ("cache_dir", "/proc/nowhere", "cache_dir: /proc/nowhere cannot be made a folder"),
        ("checkpoint", "/nowhere.safetensors", "/nowhere.safetensors"),
        ("media_url", "nothing://bucket", "media_url: Protocol not known"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_starts(tmp_path: Path, name: str, value: str, words: str) -> None:
    if value == "a file":
        value = str(tmp_path / "file")
        Path(value).touch()
    settings = load_settings(**{"data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache", name: value})
    with pytest.raises((SettingsError, MediaError, CheckpointError), match=words):
        serve._check_configuration(settings)
