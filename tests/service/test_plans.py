"""Floor plans: who sees and changes them, what is accepted as a picture, and what is left when they go."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from support.api_world import World, bearer, client_of, world_in
from support.pictures import bomb, png_header, room, saved

from pipeline.camera import CameraConfig, CameraPosition
from service.gallery import MediaStore
from service.plans import MAX_PLANS, PLAN_PICTURES, PLANS, PlanStore, encode_plan
from service.security import Role

PLAN = "/api/v1/plans/Ground%20floor"
TWO_MIB = 2 * 2**20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("plans"), max_upload_bytes=TWO_MIB, max_photo_pixels=4_000_000) as world:
        for camera, plan in (("door", "Ground floor"), ("safe", "Cellar"), ("roof", "Ground floor")):
            place = CameraPosition(x_m=5, y_m=4, plan=plan)
            world.services.cameras.add(CameraConfig(camera, camera, f"rtsp://10.0.0.1/{camera}", position=place))
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


@pytest.fixture
def api(world: World, running: TestClient) -> Iterator[TestClient]:
    """As an administrator, with the plan there."""
    running.headers.update(bearer(world.token_of(Role.ADMIN)))
    assert running.put(PLAN, json={"width_m": 60, "height_m": 30}).status_code == 200
    yield running
    running.headers.update(bearer(world.token_of(Role.ADMIN)))
    for plan in running.get("/api/v1/plans").json()["items"]:
        running.delete(f"/api/v1/plans/{quote(plan['name'], safe='')}")


def upload(api: TestClient, data: bytes, path: str = PLAN, **options: Any) -> Any:
    return api.put(f"{path}/image", files={"image": ("plan.png", data, "image/png")}, **options)


def pictures_in(world: World) -> list[Path]:
    return sorted((world.settings.data_dir / "media" / "_plans").glob("*/*"))


def test_a_plan_is_made_shown_changed_and_removed(world: World, api: TestClient) -> None:
    made = api.get(PLAN).json()
    assert made == {
        "name": "Ground floor", "width_m": 60, "height_m": 30, "image": None, "camera_ids": ["door", "roof"],
    }  # fmt: skip
    assert api.get(f"{PLAN}/image").status_code == 404
    shown = upload(api, saved(room(400, 300), "PNG")).json()
    assert shown["image"] == {"url": f"{PLAN}/image", "width_px": 400, "height_px": 300}
    assert shown["height_m"] == 45
    answer = api.get(f"{PLAN}/image")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/webp", "no-store")
    seen = np.asarray(Pillow.open(io.BytesIO(answer.content)).convert("RGB"))
    assert np.abs(seen.astype(int) - room(400, 300)).mean() < 3
    first = pictures_in(world)
    assert upload(api, saved(room(300, 300), "JPEG")).json()["height_m"] == 60
    assert len(pictures_in(world)) == 1
    assert pictures_in(world) != first
    assert api.put(PLAN, json={"width_m": 20}).json()["height_m"] == 20
    assert [p["name"] for p in api.get("/api/v1/plans").json()["items"]] == ["Ground floor"]
    assert api.delete(PLAN).status_code == 204
    assert pictures_in(world) == []
    assert [api.get(path).status_code for path in (PLAN, f"{PLAN}/image")] == [404, 404]
    assert api.get("/api/v1/cameras/door").json()["position"]["plan"] == "Ground floor"
    events = [e["event"] for e in api.get("/api/v1/audit?event=plan&limit=20").json()["items"]]
    assert events[0] == "plan.remove"
    assert {"plan.put", "plan.picture"} <= set(events)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a plan"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "not a plan"),
        (b"GIF89a" + b"\0" * 100, "not a plan"),
        (b"%PDF-1.7\n", "not a plan"),
        (saved(room(400, 300), "WEBP"), "not a plan"),
        (saved(room(400, 300), "TIFF"), "not a plan"),
        (png_header(30_000, 30_000), "million pixels"),
        (bomb(12_000), "million pixels"),
        (png_header(600, 600), "damaged"),
        (saved(room(400, 300), "JPEG")[:-2000], "damaged"),
        (saved(room(1, 1), "PNG"), "nothing can be read"),
        (saved(room(63, 400), "PNG"), "nothing can be read"),
    ],
)
def test_what_is_no_usable_picture_is_refused_and_the_old_one_stays(
    world: World, api: TestClient, data: bytes, said: str
) -> None:
    upload(api, saved(room(400, 300), "PNG"))
    before = pictures_in(world)
    answer = upload(api, data)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert pictures_in(world) == before


def test_forms_that_are_none(api: TestClient) -> None:
    image = ("x.png", saved(room(400, 300), "PNG"), "image/png")
    assert api.put(f"{PLAN}/image", json={"image": "x"}).status_code == 415
    assert api.put(f"{PLAN}/image", content=b"x", headers={"Content-Type": "image/png"}).status_code == 415
    assert api.put(f"{PLAN}/image", files={"photo": image}).status_code == 422
    assert api.put(f"{PLAN}/image", files={"image": image}, data={"width": "3"}).status_code in (400, 422)
    assert upload(api, b"\0" * (TWO_MIB + 1)).status_code == 413
    assert upload(api, b"\0" * (TWO_MIB * 2)).status_code == 413
    assert api.put(PLAN, content=b"\0" * TWO_MIB, headers={"Content-Type": "application/json"}).status_code == 413
    assert upload(api, saved(room(400, 300), "PNG"), "/api/v1/plans/Nowhere").status_code == 404


def test_nothing_but_the_pixels_is_kept() -> None:
    exif = Pillow.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    data = saved(room(400, 300), "JPEG", exif=exif) + b"<script>alert(1)</script>"
    webp, width_px, height_px = encode_plan(data, max_pixels=10**6)
    assert (width_px, height_px) == (300, 400)  # upright
    assert webp[:4] == b"RIFF"
    assert b"script" not in webp
    assert b"secret place" not in webp
    clear = Pillow.new("RGBA", (100, 80), (0, 0, 0, 0))
    buffer = io.BytesIO()
    clear.save(buffer, "PNG")
    white, *_ = encode_plan(buffer.getvalue(), max_pixels=10**6)
    assert np.asarray(Pillow.open(io.BytesIO(white)).convert("RGB")).min() > 250
    _, width_px, height_px = encode_plan(saved(room(6000, 300), "PNG"), max_pixels=10**7)
    assert (width_px, height_px) == (3000, 150)


@pytest.mark.parametrize(
    "name", ["%2e%2e", ".hidden", "a%2Fb", "a%5Cb", "%20a", "a%20", "%00", "a%0Ab", "%E2%80%AEx", "%20", "x" * 121]
)
def test_names_that_are_none(api: TestClient, name: str) -> None:
    before = api.get("/api/v1/plans").json()
    answer = api.put(f"/api/v1/plans/{name}", json={"width_m": 10})
    assert answer.status_code in (404, 405, 422)
    assert api.get("/api/v1/plans").json() == before


def test_names_that_are_odd(api: TestClient) -> None:
    for name in ("<script>", "Ünter#geschoß?", "100 %", "*", "x" * 120):
        path = f"/api/v1/plans/{quote(name, safe='')}"
        assert api.put(path, json={"width_m": 10}).json()["name"] == name
        url = upload(api, saved(room(400, 300), "PNG"), path).json()["image"]["url"]
        assert api.get(url).status_code == 200


@pytest.mark.parametrize(
    "size", [{}, {"width_m": 0}, {"width_m": 1e9}, {"width_m": 5, "height_m": -1}, {"width_m": "5"}]
)
def test_sizes_that_are_none(api: TestClient, size: dict[str, object]) -> None:
    assert api.put("/api/v1/plans/Attic", json=size).status_code == 422
    assert api.get("/api/v1/plans/Attic").status_code == 404


def test_there_are_not_endlessly_many(world: World, api: TestClient) -> None:
    world.services.redis.hset(PLANS, mapping={f"p{n}": '{"width_m": 9.0, "height_m": 9.0}' for n in range(MAX_PLANS)})
    try:
        assert "remove one first" in api.put("/api/v1/plans/One%20more", json={"width_m": 5}).json()["detail"]
        assert api.put(PLAN, json={"width_m": 5}).status_code == 200
        first = api.get("/api/v1/plans?limit=150").json()
        rest = api.get("/api/v1/plans", params={"limit": 150, "cursor": first["next_cursor"]}).json()
        assert len(first["items"]) + len(rest["items"]) == MAX_PLANS + 1
    finally:
        world.services.redis.delete(PLANS)


@pytest.mark.parametrize("role", list(Role))
def test_a_plan_is_there_for_who_sees_a_camera_on_it(world: World, api: TestClient, role: Role) -> None:
    assert api.put("/api/v1/plans/Cellar", json={"width_m": 10}).status_code == 200
    upload(api, saved(room(400, 300), "PNG"), "/api/v1/plans/Cellar")
    api.headers.update(bearer(world.token_of(role, ["door"])))
    (plan,) = api.get("/api/v1/plans").json()["items"]
    assert (plan["name"], plan["camera_ids"]) == ("Ground floor", ["door"])
    hidden, nowhere = (
        [api.get(f"/api/v1/plans/{name}{tail}") for tail in ("", "/image")] for name in ("Cellar", "Nowhere")
    )
    for one, other in zip(hidden, nowhere, strict=True):
        assert one.status_code == other.status_code == 404
        assert one.json()["detail"] == other.json()["detail"]
    refused = [api.put(PLAN, json={"width_m": 5}), upload(api, b"x"), api.delete(PLAN)]
    assert [answer.status_code for answer in refused] == [403] * 3
    api.headers.update(bearer(world.token_of(Role.VIEWER)))
    assert [p["name"] for p in api.get("/api/v1/plans").json()["items"]] == ["Cellar", "Ground floor"]


def test_a_camera_is_moved_on_plans_that_its_administrator_sees(world: World, api: TestClient) -> None:
    before = world.services.cameras.get("door").config
    api.put("/api/v1/plans/Cellar", json={"width_m": 10})
    api.headers.update(bearer(world.token_of(Role.ADMIN, ["door"])))

    def move(**place: object) -> int:
        return int(api.patch("/api/v1/cameras/door", json={"position": place}).status_code)

    assert move(x_m=7, y_m=8, plan="Ground floor") == 200
    assert move(x_m=7, y_m=8, plan="Cellar") == 403
    assert move(x_m=7, y_m=8, plan="Nowhere") == 403
    assert api.get("/api/v1/plans/Cellar").status_code == 404
    assert move(x_m=1, y_m=1) == 200
    world.services.cameras.edit(before)


def test_a_moved_camera_is_analysed_as_before() -> None:
    config = CameraConfig("door", "Door", "rtsp://10.0.0.1/x")
    moved = replace(config, name="Front door", position=CameraPosition(1, 2, "Yard"), keep_days=3)
    assert moved.as_analysed() == config.as_analysed()
    assert replace(config, max_fps=3).as_analysed() != config.as_analysed()
    assert replace(config, url="rtsp://10.0.0.2/x").as_analysed() != config.as_analysed()


def test_a_plan_that_goes_while_its_picture_comes_leaves_nothing(world: World, tmp_path: Path) -> None:
    plans = PlanStore(world.services.redis, MediaStore(tmp_path.as_uri()))
    plans.put("Shed", 5, 5)
    plans.remove("Shed")
    with pytest.raises(KeyError):
        plans.show("Shed", *encode_plan(saved(room(400, 300), "PNG"), max_pixels=10**6))
    assert list(tmp_path.rglob("*.webp")) == []


@pytest.mark.parametrize(
    "stored",
    [b"", b"[]", b"{}", b"null", b'{"key": 1, "width_px": 1, "height_px": 1}', b'{"key": "../x", "width_px": "1"}',
     b'{"key": "_plans/../gate/x.webp", "width_px": 9, "height_px": 9}', b"[" * 5000,
     f'{{"key": "_plans/{"a" * 32}/{"b" * 32}.webp", "width_px": 0, "height_px": 9}}'.encode()],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out_and_can_be_replaced(world: World, api: TestClient, stored: bytes) -> None:
    world.services.redis.hset(PLAN_PICTURES, "Ground floor", stored)
    assert api.get(PLAN).json()["image"] is None
    assert api.get(f"{PLAN}/image").status_code == 404
    assert upload(api, saved(room(), "PNG")).json()["image"]["width_px"] == 800
    assert api.put("/api/v1/plans/Sound", json={"width_m": 5}).status_code == 200
    world.services.redis.hset(PLANS, "Ground floor", stored)
    assert [p["name"] for p in api.get("/api/v1/plans").json()["items"]] == ["Sound"]
    assert api.get(PLAN).status_code == 404
    assert api.put(PLAN, json={"width_m": 60}).json()["height_m"] == 45
