"""The rendered world: people with known identities, in the layout of SYSU-MM01 (pictures) or HITSZ-VCM (tracklets).

Which one, its folder shows: ``exp`` holds lists of people, ``info`` lists of tracklets. It is judged by that data
set's protocol.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.data import hitsz_vcm, sysu_mm01
from models.data.findings import Findings
from models.data.layout import Parts
from models.data.lists import read_numbers
from models.data.samples import DataError
from models.data.splits import HELD_OUT, check_validation, hold_out

__all__ = ["read"]


def read(
    root: Path,
    findings: Findings,
    *,
    min_frames: int = 0,
    validation: str = HELD_OUT,
    validation_fraction: float = 0.1,
) -> Parts:
    """Read the folder.

    Args:
        min_frames: shorter tracklets are left out.
        validation: ``held-out`` for the people of ``val_id.txt`` in ``exp`` or ``info`` if there is one, else for
            `validation_fraction` of the training people; ``none`` to train on all.
    """
    check_validation(validation, validation_fraction)
    if (root / "info").is_dir():
        parts = hitsz_vcm.read(
            root, findings, min_frames=min_frames, validation=validation, validation_fraction=validation_fraction
        )
        chosen = root / "info" / "val_id.txt"
        if validation == HELD_OUT and chosen.exists():
            parts = replace(parts, held_out=frozenset(read_numbers(chosen, findings)))
        return parts
    if not (root / "exp").is_dir():
        raise DataError(f"{root}: expected a folder exp (pictures) or info (tracklets), there is neither")
    train, test = (sysu_mm01.identities(root, part, findings) for part in ("train", "test"))
    listed = (root / "exp" / "val_id.txt").exists()
    val = sysu_mm01.identities(root, "val", findings) if listed else []
    if listed:
        held_out = frozenset(val if validation == HELD_OUT else ())
    else:
        held_out = hold_out(train, validation, validation_fraction)
    return sysu_mm01.assemble(root, findings, {*train, *val}, held_out, set(test))
