"""The API with its real networks: a photo of people in the street, and the engines it says it runs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.api_world import bearer, client_of, encoded, world_in
from support.street import street_video

from service.api.loading import real_loaders
from service.settings import load_settings


def test_people_in_a_street_are_found_and_embedded(tmp_path: Path) -> None:
    video = cv2.VideoCapture(str(street_video()))
    video.set(cv2.CAP_PROP_POS_FRAMES, 300)
    ok, frame = video.read()
    assert ok
    # The networks come from the shared cache; it is filled on first use.
    cache = load_settings().cache_dir
    loaders = real_loaders(load_settings(data_dir=tmp_path, cache_dir=cache, threads=1))
    with world_in(tmp_path, loaders=loaders) as world, client_of(world, engines_s=300) as client:
        headers = bearer(world.log_in(client))
        client.cookies.clear()
        photo = client.post(
            "/api/v1/photos", headers=headers, files={"photo": ("street.png", encoded(np.asarray(frame), ".png"))}
        )
        assert photo.status_code == 201, photo.text
        found = photo.json()
        assert len(found["persons"]) >= 5
        assert found["modality"] == "visible"
        stored = world.services.photos.get(found["id"])
        assert stored is not None
        assert np.linalg.norm(stored.vectors, axis=1) == pytest.approx(1.0, abs=1e-4)
        empty = client.post(
            "/api/v1/search", headers=headers, json={"examples": [{"photo_id": found["id"], "person": 0}]}
        )
        assert empty.json()["matches"] == []
        system = client.get("/api/v1/system", headers=headers).json()
        assert {e["purpose"] for e in system["engines"]} == {"detection", "re-identification"}
        assert system["model"]["hash"] == found["model_hash"]
