"""Reading recipes: TOML files that build on each other, and changes from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from models.training.recipes.schema import Recipe

__all__ = ["RecipeError", "list_recipes", "load_recipe"]

_FOLDER = Path(__file__).parent
_DEEPEST = 8


class RecipeError(ValueError):
    """A recipe cannot be read or is wrong; the message names the file and the key."""


def list_recipes() -> tuple[str, ...]:
    """The names of the recipes that come with this program, sorted."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load_recipe(name_or_path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    A file may say ``extends = ["parts/cmft", "parts/llcm"]``: these are read first, the later over the earlier, and the
    file's own keys over all. Tables are merged key by key, everything else is replaced. An entry that ends in
    ``.toml`` is a path from the file's own folder, any other one of the recipes that come with this program.

    Args:
        name_or_path: one of `list_recipes`, or a path that ends in ``.toml``.
        changes: ``table.key=value`` with values as TOML writes them; what is no TOML is taken as text. Entries of
            a list go by their number: ``stages.1.from_epoch=4``.

    Raises:
        RecipeError: no such recipe, no TOML, or a key that is missing, unknown or wrong.
    """
    path = _resolve(str(name_or_path), Path())
    values = _read(path, ())
    for change in changes:
        _apply(values, change)
    values["name"] = path.stem
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{path.stem}: {'; '.join(_sentence(detail) for detail in error.errors())}") from error


def _resolve(entry: str, folder: Path) -> Path:
    path = folder / entry if entry.endswith(".toml") else _FOLDER / f"{entry}.toml"
    if not path.is_file():
        known = ", ".join(list_recipes())
        raise RecipeError(f"no recipe called {entry!r}; there are {known}; a file of your own ends in .toml")
    return path


def _read(path: Path, through: tuple[Path, ...]) -> dict[str, Any]:
    if path in through or len(through) >= _DEEPEST:
        raise RecipeError(f"{path}: extends itself, by way of {', '.join(p.name for p in through)}")
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: no TOML: {error}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror or error})") from error
    extends = own.pop("extends", [])
    if not isinstance(extends, list) or not all(isinstance(entry, str) for entry in extends):
        raise RecipeError(f"{path}: extends: expected a list of names, got {extends!r}")
    merged: dict[str, Any] = {}
    for entry in extends:
        merged = _merged(merged, _read(_resolve(entry, path.parent), (*through, path)))
    return _merged(merged, own)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _apply(values: dict[str, Any], change: str) -> None:
    key, found, text = change.partition("=")
    if not found or not key.strip():
        raise RecipeError(f"expected table.key=value, got {change!r}")
    *tables, last = key.strip().split(".")
    place: Any = values
    for table in tables:
        place = place.setdefault(table, {}) if isinstance(place, dict) else _entry(place, table, change)
    if isinstance(place, list):
        _entry(place, last, change)
        place[int(last)] = _value(text)
    elif isinstance(place, dict):
        place[last] = _value(text)
    else:
        raise RecipeError(f"{change!r}: {'.'.join(tables)} is no table")


def _entry(place: object, number: str, change: str) -> Any:
    if not isinstance(place, list) or not number.isdigit() or int(number) >= len(place):
        raise RecipeError(f"{change!r}: there is no {number!r} in what comes before it")
    return place[int(number)]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _sentence(detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if not key:
        return message
    given = "" if detail["type"] in ("missing", "extra_forbidden") else f", got {detail['input']!r}"
    wording = {"missing": "is missing", "extra_forbidden": "is unknown"}
    return f"{key}: {wording.get(detail['type'], message)}{given}"
