"""models <- pipeline <- service: no room imports one further down the way of the data."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "models": {"pipeline", "service", "deploy", "tests"},
    "pipeline": {"service", "deploy", "tests"},
    "service": {"tests"},
}


def imported_packages(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, f"{file}:{node.lineno}: relative imports do not leave their own folder"
            found |= {(node.module or "").split(".")[0]} if node.level == 0 else set()
    return found


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_package_imports_only_what_lies_upstream(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    offenders = {str(f.relative_to(ROOT)): sorted(imported_packages(f) & FORBIDDEN[package]) for f in files}
    assert {name: bad for name, bad in offenders.items() if bad} == {}


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_our_code_never_imports_torchvision(package: str) -> None:
    assert [f for f in (ROOT / package).rglob("*.py") if "torchvision" in imported_packages(f)] == []


def test_law_notices_an_offender(tmp_path: Path) -> None:
    file = tmp_path / "offender.py"
    file.write_text("def late():\n    from service.api import app\n")
    assert imported_packages(file) & FORBIDDEN["models"] == {"service"}
