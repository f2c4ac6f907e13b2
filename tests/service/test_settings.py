"""Configuration: where values come from, and errors that name the key."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.applications import Starlette

from service.api.services import told_settings
from service.security.headers import Shell
from service.settings import SettingsError, load_settings


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tapetum.toml"
    file.write_text('port = 9000\ndetector_confidence = 0.3\ndata_dir = "/srv/tapetum"\n')
    monkeypatch.setenv("TAPETUM_CONFIG", str(file))
    monkeypatch.setenv("TAPETUM_PORT", "9001")
    settings = load_settings()
    assert settings.port == 9001
    assert settings.detector_confidence == 0.3
    assert settings.media_base == "file:///srv/tapetum/media"


@pytest.mark.parametrize(
    ("text", "key"),
    [("port = 0", "port"), ("detector_confidence = 1.5", "detector_confidence"), ('colour = "red"', "colour")],
)
def test_wrong_value_is_named(text: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tapetum.toml"
    file.write_text(text)
    monkeypatch.setenv("TAPETUM_CONFIG", str(file))
    with pytest.raises(SettingsError, match=key):
        load_settings()


def test_missing_file_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAPETUM_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(SettingsError, match=r"TAPETUM_CONFIG.*nowhere"):
        load_settings()


def test_broken_toml_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tapetum.toml"
    file.write_text("port = = 3")
    monkeypatch.setenv("TAPETUM_CONFIG", str(file))
    with pytest.raises(SettingsError, match="TAPETUM_CONFIG"):
        load_settings()


def test_frozen_and_secrets_stay_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPETUM_REDIS_URL", "redis://:hunter2@example.test:6379")
    settings = load_settings()
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        (None, None),
        ("https://tiles.example/{z}/{x}/{y}.png", "https://tiles.example"),
        ("http://10.0.0.3:8080/a/{z}/{y}/{x}?key=1", "http://10.0.0.3:8080"),
        ("https://tiles.example/", SettingsError),
        ("/tiles/{z}/{x}/{y}.png", SettingsError),
        ("ftp://tiles.example/{z}/{x}/{y}.png", SettingsError),
        ("https://user:password@tiles.example/{z}/{x}/{y}.png", SettingsError),
        ("https://{s}.tiles.example/{z}/{x}/{y}.png", SettingsError),
        ("https://tiles.example; script-src */{z}/{x}/{y}.png", SettingsError),
        ("https://*/{z}/{x}/{y}.png", SettingsError),
    ],
)
def test_tiles_come_from_one_origin(address: str | None, origin: object) -> None:
    """It stands in the policy that browsers are given, and widens it by nothing else."""
    if origin is SettingsError:
        with pytest.raises(SettingsError, match="map_tiles"):
            load_settings(map_tiles=address)
        return
    settings = load_settings(map_tiles=address)
    assert settings.map_origin == told_settings(settings)["map_tiles"] == origin  # no key in the audit log
    with TestClient(Shell(Starlette(), tiles=settings.map_origin)) as client:
        policies = {path: client.get(path).headers["content-security-policy"] for path in ("/x", "/api/v1/x", "/login")}
    assert [path for path, policy in policies.items() if str(origin) in policy] == (["/x"] if origin else [])
    images = next(part for part in policies["/x"].split("; ") if part.startswith("img-src"))
    assert images == " ".join(["img-src 'self'", *([str(origin)] if origin else []), "data: blob:"])
