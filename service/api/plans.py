"""Floor plans: where cameras stand, to scale, with a picture."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response, status
from pydantic import AfterValidator, Field
from starlette.concurrency import run_in_threadpool

from service.api.access import ManagingPlans, Viewing
from service.api.forms import read_form
from service.api.paging import Cursor, Limit, page_of
from service.api.schema import one_plain_line
from service.api.schema_plans import Plan, PlanList, PlanPictureInfo, PlanPut
from service.api.scoped import Scoped
from service.pictures import PictureError
from service.plans import PLAN_NAME, FloorPlan
from service.problems import Problem, ProblemError

__all__ = ["PlanName", "plan_image_path", "router"]

router = APIRouter(prefix="/plans", tags=["plans"])
PlanName = Annotated[str, Field(pattern=f"^{PLAN_NAME.pattern}$", max_length=120), AfterValidator(one_plain_line)]
_Name = Annotated[PlanName, Path(description="Its name.", examples=["Ground floor"])]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such plan."}}
_WEBP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}}
}
_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {"image": {"type": "string", "format": "binary", "description": "JPEG or PNG."}},
}


@router.get("", operation_id="list_plans", summary="Floor plans, by name")
async def list_plans(scoped: Viewing, limit: Limit = 200, cursor: Cursor = None) -> PlanList:
    """Those on which a camera in scope stands; all of them for who sees all cameras."""

    def read() -> PlanList:
        plans, after = page_of(scoped.plans.all(), lambda one: f"{one.name.casefold()}\0{one.name}", limit, cursor)
        return PlanList(items=_shown(scoped, plans), next_cursor=after)

    return await run_in_threadpool(read)


@router.get("/{name}", operation_id="get_plan", summary="One floor plan", responses=_NOT_FOUND)
async def get_plan(scoped: Viewing, name: _Name) -> Plan:
    return await run_in_threadpool(lambda: _shown(scoped, [scoped.plans.get(name)])[0])


@router.put("/{name}", operation_id="put_plan", summary="Make a floor plan, or change its size", responses=_NOT_FOUND)
async def put_plan(request: PlanPut, scoped: ManagingPlans, name: _Name) -> Plan:
    """Cameras keep their positions in metres."""

    def put() -> Plan:
        height_m = request.height_m
        if height_m is None:
            known = {plan.name: plan for plan in scoped.plans.all()}
            height_m = known[name].height_m if name in known else request.width_m
        return _shown(scoped, [scoped.plans.put(name, request.width_m, height_m)])[0]

    return await run_in_threadpool(put)


@router.delete(
    "/{name}",
    operation_id="remove_plan",
    summary="Forget a floor plan and its picture",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_NOT_FOUND,
)
async def remove_plan(scoped: ManagingPlans, name: _Name) -> None:
    """Cameras keep their positions."""
    await run_in_threadpool(scoped.plans.remove, name)


@router.get(
    "/{name}/image",
    operation_id="get_plan_image",
    summary="The picture of a floor plan",
    response_class=Response,
    responses={**_NOT_FOUND, **_WEBP},
)
async def get_plan_image(scoped: Viewing, name: _Name) -> Response:
    return Response(await run_in_threadpool(scoped.plans.picture, name), media_type="image/webp")


@router.put(
    "/{name}/image",
    operation_id="put_plan_image",
    summary="Give a floor plan a picture",
    responses={**_NOT_FOUND, 413: {"model": Problem, "description": "The picture is too large."}},
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def put_plan_image(request: Request, scoped: ManagingPlans, name: _Name) -> Plan:
    """It is decoded and written anew, at most 3000 pixels wide or high; what it carried besides is gone."""
    data, _ = await read_form(request, "image", noun="picture", max_bytes=scoped.settings.max_upload_bytes)
    async with scoped.photo_slots:
        try:
            plan = await run_in_threadpool(scoped.plans.show, name, data)
        except PictureError as error:
            raise ProblemError(422, "plan-picture", str(error)) from None
    return (await run_in_threadpool(_shown, scoped, [plan]))[0]


def plan_image_path(plan: FloorPlan) -> str | None:
    """Where a plan's picture is; None where it has none."""
    return f"/api/v1/plans/{quote(plan.name, safe='')}/image" if plan.picture is not None else None


def _shown(scoped: Scoped, plans: list[FloorPlan]) -> list[Plan]:
    """Plans as the API tells of them."""
    standing: dict[str, list[str]] = {}
    for config in scoped.cameras():
        if config.position is not None and config.position.x_m is not None:
            standing.setdefault(config.position.plan, []).append(config.id)
    return [
        Plan(
            name=plan.name,
            width_m=plan.width_m,
            height_m=plan.height_m,
            image=PlanPictureInfo(
                url=plan_image_path(plan) or "", width_px=plan.picture.width_px, height_px=plan.picture.height_px
            )
            if plan.picture is not None
            else None,
            camera_ids=sorted(standing.get(plan.name, ())),
        )
        for plan in plans
    ]
