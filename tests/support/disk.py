"""What lies on the disk, as somebody sees it who has only the files."""

from __future__ import annotations

from pathlib import Path

__all__ = ["found_in"]


def found_in(folder: Path, needles: list[bytes]) -> list[str]:
    """The files of a folder, however deep, that hold one of the needles."""
    while True:
        files = [path for path in folder.rglob("*") if path.is_file()]
        try:
            return [str(path) for path in files if any(needle in path.read_bytes() for needle in needles)]
        except FileNotFoundError:  # it has another name by now
            continue
