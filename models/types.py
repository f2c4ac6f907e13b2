"""The value types that every learned part understands."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Modality"]


class Modality(StrEnum):
    """What kind of light a picture was taken in."""

    VISIBLE = "visible"
    INFRARED = "infrared"

    @property
    def other(self) -> Modality:
        return Modality.INFRARED if self is Modality.VISIBLE else Modality.VISIBLE
