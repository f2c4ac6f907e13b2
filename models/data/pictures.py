"""Reading one picture, from a file or a row of an array file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.data.samples import ArrayRow, DataError, Picture
from models.preprocessing import Image

__all__ = ["open_array", "read_picture"]


def read_picture(picture: Picture) -> Image:
    """Decode a picture to ``uint8[H, W, 3]`` BGR; grey pictures get three equal channels.

    Raises:
        DataError: there is no such file or row, or it holds no picture.
    """
    if isinstance(picture, ArrayRow):
        rows = open_array(picture.file)
        if not 0 <= picture.row < len(rows):
            raise DataError(f"{picture.file}: expected a row below {len(rows)}, got {picture.row}")
        return np.ascontiguousarray(rows[picture.row, :, :, ::-1])
    try:
        data = np.fromfile(picture, np.uint8)
    except OSError as error:
        raise DataError(f"{picture}: cannot be read ({error.strerror or error})") from error
    decoded = _decode(data)
    if decoded is None:
        raise DataError(f"{picture}: expected a picture, got {data.size} bytes that are none")
    return decoded


def _decode(data: npt.NDArray[np.uint8]) -> Image | None:
    if not data.size:
        return None
    try:
        decoded: Image | None = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:  # a header that promises more pixels than OpenCV allows
        return None
    return decoded


@lru_cache(maxsize=8)
def open_array(file: Path) -> npt.NDArray[Any]:
    """Map ``uint8[count, H, W, 3]`` into memory without reading it.

    Raises:
        DataError: no such file, or another kind of array.
    """
    try:
        rows: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: expected an array of pictures ({error})") from error
    if rows.dtype != np.uint8 or rows.ndim != 4 or rows.shape[3] != 3:
        raise DataError(f"{file}: expected uint8[count, height, width, 3], got {rows.dtype}{list(rows.shape)}")
    return rows
