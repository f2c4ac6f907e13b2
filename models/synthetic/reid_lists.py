"""The lists that come with a data set's pictures, in the words of SYSU-MM01 and HITSZ-VCM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.files import replaced_whole
from models.synthetic.reid_plan import Part, ReidOptions

__all__ = ["write_lists"]

_INFRARED, _VISIBLE = 1, 2  # HITSZ-VCM's numbers


def write_lists(
    out: Path, options: ReidOptions, parts: dict[Part, tuple[int, ...]], records: dict[int, dict[str, Any]]
) -> None:
    """Writes ``exp/*_id.txt`` (sysu-mm01) or ``info/*`` (hitsz-vcm, whose own lists name nobody for validation)."""
    if options.layout == "sysu-mm01":
        for camera in range(1, 7):
            (out / f"cam{camera}").mkdir(exist_ok=True)
        for part, people in parts.items():
            if people:
                _write(out / "exp" / f"{part}_id.txt", ",".join(map(str, people)))
        return
    _hitsz(out, "train", sorted((*parts["train"], *parts["val"])), records)
    if parts["val"]:
        _write(out / "info" / "val_id.txt", ",".join(map(str, parts["val"])))
    tracks = _hitsz(out, "test", parts["test"], records)
    queries = [row for row, light in enumerate(tracks, start=1) if light == _INFRARED]
    _write(out / "info" / "query_IDX.txt", "\n".join(map(str, queries)))


def _hitsz(out: Path, part: str, people: tuple[int, ...] | list[int], records: dict[int, dict[str, Any]]) -> list[int]:
    """Writes the names of frames and the rows of tracklets of a part; returns each tracklet's light."""
    names: list[str] = []
    rows: list[str] = []
    lights: list[int] = []
    for person in people:
        for track, passage in enumerate(records[person]["passages"], start=1):
            if not passage["frames"]:
                continue
            light, camera = _INFRARED if passage["infrared"] else _VISIBLE, passage["filed_under"]
            first = len(names) + 1
            names += [f"{person:04d}M{light}D{camera}T{track}F{frame['name']}" for frame in passage["frames"]]
            rows.append(f"{light} {first} {len(names)} {person} {camera}")
            lights.append(light)
    _write(out / "info" / f"{part}_name.txt", "\n".join(names))
    _write(out / "info" / f"track_{part}_info.txt", "\n".join(rows))
    return lights


def _write(path: Path, text: str) -> None:
    with replaced_whole(path) as scratch:
        scratch.write_text(text + "\n")
