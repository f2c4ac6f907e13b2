"""Reading the text files that data sets come with: hostile until shown otherwise."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.data.findings import Findings
from models.data.samples import DataError

__all__ = [
    "MAX_NUMBER",
    "check_numbers",
    "first_few",
    "numbered",
    "path_below",
    "picture_files",
    "read_labelled",
    "read_lines",
    "read_numbers",
    "require_folder",
    "subfolders",
]

MAX_NUMBER = 10**6  # more people, cameras or tracks than any data set has; what is larger is garbage
_MAX_BYTES = 256 * 2**20
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
_SEPARATORS = re.compile(r"[,\s]+")


def read_lines(file: Path, *, blank: bool = False) -> list[str]:
    """The lines without white space at either end; blank ones only if asked for, where places are counted.

    Raises:
        DataError: not there, no file, not text, or absurdly long.
    """
    try:
        if not file.is_file():
            raise DataError(f"{file}: expected a text file, there is {'a folder' if file.is_dir() else 'none'}")
        if file.stat().st_size > _MAX_BYTES:
            raise DataError(f"{file}: expected at most {_MAX_BYTES} bytes of text, got {file.stat().st_size}")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: expected text, got byte {error.object[error.start]:#04x} at {error.start}") from error
    return [line for line in (line.strip() for line in text.splitlines()) if line or blank]


def read_numbers(file: Path, findings: Findings, *, below: int = MAX_NUMBER + 1) -> list[int]:
    """Whole numbers from 1, separated by commas or white space, in the order of the file.

    What is no such number is a problem. Raises DataError as `read_lines` does.
    """
    return check_numbers(file, [w for w in _SEPARATORS.split(" ".join(read_lines(file))) if w], findings, below=below)


def check_numbers(file: Path, words: Sequence[str], findings: Findings, *, below: int = MAX_NUMBER + 1) -> list[int]:
    """The words that are whole numbers from 1, each once; what is none is a problem of the file."""
    numbers = [number for word in words if (number := numbered(word)) is not None and 1 <= number < below]
    if len(numbers) < len(words):
        wrong = [word[:40] for word in words if (number := numbered(word)) is None or not 1 <= number < below]
        findings.problem(f"{file}: expected numbers from 1 to {below - 1}, got {first_few(map(repr, wrong))}")
    if not numbers:
        findings.problem(f"{file}: holds no numbers")
    once = list(dict.fromkeys(numbers))
    if len(once) < len(numbers):
        findings.note(f"{file}: names {len(numbers) - len(once)} numbers more than once")
    return once


def numbered(word: str) -> int | None:
    """The whole number from 0 that the word spells in plain digits, None for everything else."""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 9 else None


def read_labelled(root: Path, file: Path, findings: Findings) -> list[tuple[Path, int]]:
    """Lines ``path/below/root label``, as RegDB and LLCM list their pictures; other lines are a problem."""
    found: list[tuple[Path, int]] = []
    wrong: list[str] = []
    for line in read_lines(file):
        written, _, label = line.rpartition(" ")
        path, number = path_below(root, written.strip()), numbered(label)
        if path is None or number is None:
            wrong.append(repr(line[:60]))
        else:
            found.append((path, number))
    if wrong:
        findings.problem(
            f"{file}: expected lines 'path label' with paths inside the data set, {len(wrong)} are none: "
            f"{first_few(wrong)}"
        )
    if not found:
        findings.problem(f"{file}: lists no pictures")
    return found


def path_below(root: Path, written: str) -> Path | None:
    """The path that a list names, or None when it leads out of the data set's folder."""
    parts = written.replace("\\", "/").split("/")
    if any(part in ("", "..") or "\0" in part or ":" in part for part in parts):
        return None
    return root.joinpath(*parts)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none when it is no folder."""
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []


def require_folder(root: Path, name: str, what: str) -> None:
    """DataError unless the data set has the folder its lists are in."""
    if not (root / name).is_dir():
        raise DataError(f"{root}: expected a folder {name!r} with {what}, there is none")


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder, by name; none when it is no folder. Other files are ignored."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.lower().endswith(_SUFFIXES)]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def first_few(items: Iterable[object]) -> str:
    """``a, b, c and 7 more``."""
    listed = list(items)
    shown = ", ".join(str(item) for item in listed[:3])
    return f"{shown} and {len(listed) - 3} more" if len(listed) > 3 else shown
