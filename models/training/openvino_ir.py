"""Reads the numbers out of an OpenVINO IR (``.xml`` beside ``.bin``) without OpenVINO, to train on from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from models.training.errors import TrainingError

__all__ = ["float_constants"]

_TYPES: dict[str, np.dtype[Any]] = {"f32": np.dtype("<f4"), "f16": np.dtype("<f2")}


def float_constants(xml: Path) -> list[Tensor]:
    """Every floating constant as float32, in the file's order; those that several layers share come once.

    Raises:
        TrainingError: no such files, or not an IR.
    """
    try:
        text, data = xml.read_text(encoding="utf-8"), xml.with_suffix(".bin").read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{xml}: an IR is this file and the .bin beside it; cannot read them: {error}") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise TrainingError(f"{xml}: expected an OpenVINO IR, which declares no entities")
    found: dict[int, Tensor] = {}
    try:
        for constant in ElementTree.fromstring(text).iterfind("./layers/layer[@type='Const']/data"):  # noqa: S314
            kind = _TYPES.get(constant.get("element_type", ""))
            offset, size = int(constant.attrib["offset"]), int(constant.attrib["size"])
            if kind is None or offset in found:
                continue
            if offset < 0 or size < 0 or offset + size > len(data):
                raise TrainingError(f"{xml.with_suffix('.bin')}: is cut short at {len(data)} bytes")
            shape = [int(side) for side in constant.attrib["shape"].split(",") if side.strip()]
            values = np.frombuffer(data, kind, size // kind.itemsize, offset).astype(np.float32)
            found[offset] = torch.from_numpy(values.reshape(shape))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise TrainingError(f"{xml}: expected an OpenVINO IR: {error}") from error
    return list(found.values())
