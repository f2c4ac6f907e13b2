"""The processes that ``tests.chaos`` kills: ``python -m tests.support.chaos_process worker|api FOLDER URL [PORT]``.

Networks are those whose answers a test knows, and the worker's sightings are made up. Everything that keeps what was
promised is the product's own: spool, delivery, media store, records, routes, accounts, audit log.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import uvicorn

from service.api import build_services, create_app
from service.gallery import Gallery, MediaStore
from service.ingest import Ingest
from service.redis_server import client_for
from service.settings import Settings, load_settings
from tests.support.api_world import CALIBRATION, DIM, MODEL_HASH, foreseeable_loaders
from tests.support.tracklets import handed_over, unit_vector

PAUSE_S = 0.03


def promises(folder: Path) -> Path:
    """Where the worker writes what its spool has accepted: a line of id and revision each."""
    return folder / "promised.txt"


def work(settings: Settings) -> None:
    """Put sightings into the spool, two revisions of each, and note every one that was accepted."""
    from pipeline.spool import Spool

    path = promises(settings.data_dir)
    path.touch()
    spool = Spool(settings.data_dir / "spool" / "chaos.sqlite")
    redis_url = settings.redis_url
    assert redis_url is not None
    gallery = Gallery(client_for(redis_url.get_secret_value(), timeout_s=2.0))
    Ingest(spool, gallery, MediaStore(settings.media_base)).start()
    noted = os.open(path, os.O_WRONLY | os.O_APPEND)
    # The last line may have been cut off by a kill: what it stood for is put again, and is there already.
    step = path.read_bytes().count(b"\n")
    while True:
        number, revision = step // 2, 1 + step % 2
        tracklet = handed_over(
            number,
            revision=revision,
            closed=revision == 2,
            camera=f"camera-{number % 3}",
            shades=(number % 200, number % 200 + 1),
            vector=unit_vector(number % 17, DIM),
        )
        tracklet = replace(tracklet, model_hash=MODEL_HASH)
        spool.put(tracklet)
        os.write(noted, f"{tracklet.id} {revision}\n".encode())
        step += 1
        time.sleep(PAUSE_S)


def serve(settings: Settings) -> None:
    app = create_app(
        settings, build_services(settings, loaders=foreseeable_loaders(calibration=CALIBRATION)), dashboard=False
    )
    uvicorn.run(app, host="127.0.0.1", port=settings.port, log_level="warning", proxy_headers=False)


def main() -> None:
    kind, folder, url, port = sys.argv[1:]
    settings = load_settings(
        data_dir=Path(folder), cache_dir=Path(folder) / "cache", redis_url=url, port=int(port), retention_days=None
    )
    {"worker": work, "api": serve}[kind](settings)


if __name__ == "__main__":
    main()
