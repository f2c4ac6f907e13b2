"""What lies on the disk, as somebody sees it who has only the files."""

from __future__ import annotations

from pathlib import Path

__all__ = ["found_in"]


def found_in(folder: Path, needles: list[bytes]) -> list[str]:
    """The files of a folder, however deep, that hold one of the needles."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and any(n in _read(path) for n in needles)]


def _read(path: Path) -> bytes:
    """Nothing where the file went while we looked: whoever writes one whole gives it its name at the end."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
