"""What the API says of floor plans."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.api.schema import Closed
from service.plans import MAX_SIDE_M, MIN_SIDE_M

__all__ = ["Plan", "PlanList", "PlanPictureInfo", "PlanPut"]


class PlanPut(Closed):
    width_m: float = Field(ge=MIN_SIDE_M, le=MAX_SIDE_M, description="How many metres it is wide.", examples=[60])
    height_m: float | None = Field(
        None,
        ge=MIN_SIDE_M,
        le=MAX_SIDE_M,
        description="From top to bottom, of a plan without a picture; with one it follows from the picture's shape. "
        "Left out: as it was, else like the width.",
    )


class PlanPictureInfo(BaseModel):
    url: str = Field(examples=["/api/v1/plans/Ground%20floor/image"])
    width_px: int = Field(examples=[1600])
    height_px: int = Field(examples=[1200])


class Plan(BaseModel):
    """Cameras stand on it where their `position.plan` is its name; metres count from its upper left corner."""

    name: str = Field(examples=["Ground floor"])
    width_m: float = Field(examples=[60])
    height_m: float = Field(examples=[45])
    image: PlanPictureInfo | None
    camera_ids: list[str] = Field(description="Of the cameras in scope that stand on it.")


class PlanList(BaseModel):
    items: list[Plan]
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")
