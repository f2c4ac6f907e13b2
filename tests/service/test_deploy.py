"""The deployment files name commands, settings and files that exist."""

from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from service.cli import app
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: spec for name, spec in COMPOSE["services"].items() if spec["image"].startswith("tapetum:")}


def test_our_services_run_commands_that_exist() -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {spec["command"][0] for spec in OURS.values()} == {"worker", "api"}
    assert {spec["command"][0] for spec in OURS.values()} <= commands


@pytest.mark.parametrize("name", sorted(OURS))
def test_environment_is_a_valid_configuration(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = OURS[name]["environment"]
    for key, value in environment.items():
        assert key.removeprefix("TAPETUM_").lower() in Settings.model_fields, key
        monkeypatch.setenv(key, str(value))
    assert Settings().redis_url is not None


def test_volumes_and_dependencies_are_declared() -> None:
    for spec in COMPOSE["services"].values():
        for volume in spec["volumes"]:
            assert volume.split(":")[0] in COMPOSE["volumes"]
        for other in spec.get("depends_on", {}):
            assert "healthcheck" in COMPOSE["services"][other]


def test_nothing_is_reachable_from_outside_the_machine_by_default() -> None:
    ports = [p for spec in COMPOSE["services"].values() for p in spec.get("ports", [])]
    assert ports
    assert all(p.startswith("127.0.0.1:") for p in ports)


def test_gpu_file_only_adds_to_services_that_exist() -> None:
    gpu = yaml.safe_load((ROOT / "deploy/docker-compose.gpu.yml").read_text())
    assert set(gpu["services"]) <= set(OURS)


def test_dockerfile_copies_what_exists_and_starts_the_console_script() -> None:
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert 'ENTRYPOINT ["tapetum"]' in lines
