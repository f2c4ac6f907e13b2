"""Delivery: every tracklet arrives, once, whatever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.spool import Spool
from service.gallery import Gallery, MediaError, MediaStore, keys
from service.ingest import Ingest
from tests.support.tracklets import handed_over, jpeg, tracklet_id


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


class Site:
    """Spool, media store and ingest of one worker, before a server that may die."""

    def __init__(self, folder: Path, server) -> None:
        self.server = server
        self.spool = Spool(folder / "spool.sqlite")
        self.media = MediaStore((folder / "media").as_uri())
        self.gallery = Gallery(server.client(timeout_s=1.0))
        self.ingest = Ingest(self.spool, Gallery(server.client(timeout_s=1.0)), self.media)

    def pictures(self) -> list[Path]:
        return sorted(Path(self.media._base).rglob("*.jpg"))

    def settled(self) -> bool:
        return self.spool.stats().pending == 0


@pytest.fixture
def site(tmp_path: Path, redis_server) -> Iterator[Site]:
    site = Site(tmp_path, redis_server)
    yield site
    site.ingest.stop(5)


@pytest.fixture
def mortal_site(tmp_path: Path, mortal_server) -> Iterator[Site]:
    site = Site(tmp_path, mortal_server)
    yield site
    site.ingest.stop(5)


def test_a_tracklet_arrives_with_its_pictures(site: Site) -> None:
    site.ingest.start()
    tracklet = handed_over(1, shades=(10, 20), height_px=600)
    began = time.monotonic()
    site.spool.put(tracklet)
    until(lambda: site.gallery.get(tracklet.id) is not None)
    assert time.monotonic() - began < 2.0
    record = site.gallery.get(tracklet.id)
    assert record is not None
    assert [site.media.read(crop.key) for crop in record.crops] == [crop.jpeg for crop in tracklet.crops]
    assert record.thumbnail is not None
    assert len(site.media.read(record.thumbnail)) < len(tracklet.crops[1].jpeg)
    np.testing.assert_allclose(record.vector, tracklet.vector, atol=1e-3)
    until(site.settled)
    assert site.ingest.stats().delivered == 1


def test_pictures_of_earlier_revisions_go_when_the_tracklet_closes(site: Site) -> None:
    site.ingest.start()
    for revision, shades in ((1, (1, 2)), (2, (2, 3)), (3, (3, 4))):
        site.spool.put(handed_over(1, revision=revision, shades=shades, closed=revision == 3))
        until(site.settled)
        if revision == 2:
            assert len(site.pictures()) == 5  # 1 2 3 and the thumbnails of 2 and 3
    record = site.gallery.get(tracklet_id(1))
    assert record is not None
    assert record.closed
    assert len(site.pictures()) == 3
    assert [site.media.read(crop.key) for crop in record.crops] == [jpeg(3), jpeg(4)]


def test_stopping_delivers_the_rest(site: Site) -> None:
    for number in range(150):
        site.spool.put(handed_over(number))
    site.ingest.start()
    assert site.ingest.stop(20)
    assert site.gallery.count() == 150


def test_stopping_ends_in_time_while_redis_is_dead(mortal_site: Site) -> None:
    mortal_site.server.kill()
    mortal_site.spool.put(handed_over(1))
    mortal_site.ingest.start()
    began = time.monotonic()
    assert not mortal_site.ingest.stop(3)
    assert time.monotonic() - began < 6
    assert len(mortal_site.spool.pending(10)) == 1


def test_while_redis_is_dead_pictures_go_to_the_media_store_and_leave_the_spool(mortal_site: Site) -> None:
    site = mortal_site
    site.ingest.start()
    site.server.kill()
    site.spool.put(handed_over(1))
    until(lambda: all(crop.jpeg is None for crop in site.spool.pending(1)[0].crops))
    site.server.start()
    until(site.settled)
    record = site.gallery.get(tracklet_id(1))
    assert record is not None
    assert [site.media.read(crop.key) for crop in record.crops] == [jpeg(1), jpeg(2)]


@pytest.mark.parametrize("vector", [np.full(16, np.nan, np.float32), np.zeros(16, np.float32)])
def test_a_poison_tracklet_is_set_aside_alone(site: Site, vector: np.ndarray) -> None:
    site.spool.put(handed_over(1))
    site.spool.put(handed_over(2, vector=vector))
    site.spool.put(handed_over(3))
    site.ingest.start()
    until(site.settled)
    assert site.gallery.count() == 2
    assert site.spool.stats().quarantined == 1


def test_what_redis_refuses_is_tried_again_and_then_set_aside(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.server.client().set(keys.record(tracklet_id(2)), "something else")
    monkeypatch.setattr("service.ingest._ATTEMPTS", 3)
    for number in (1, 2, 3):
        site.spool.put(handed_over(number))
    site.ingest.start()
    until(site.settled)
    assert {r.track_id for r in site.gallery.list().records} == {1, 3}
    assert site.spool.stats().quarantined == 1
    assert site.ingest.stats().failures == 3


def test_what_was_erased_is_not_stored_again(site: Site) -> None:
    site.ingest.start()
    site.spool.put(handed_over(1))
    until(site.settled)
    site.gallery.delete([tracklet_id(1)])
    site.spool.put(handed_over(1, revision=2, closed=True))
    until(site.settled)
    assert site.gallery.count() == 0
    assert site.pictures() == []
    assert site.spool.stats().delivered_kept == 0


def test_media_that_are_away_hold_delivery_and_lose_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = site.media.write_many

    def fail(pictures: dict[str, bytes]) -> None:
        raise MediaError("bucket unreachable")

    monkeypatch.setattr(site.media, "write_many", fail)
    site.ingest.start()
    for number in range(5):
        site.spool.put(handed_over(number))
    until(lambda: site.ingest.stats().away_s is not None)
    assert site.gallery.count() == 0
    assert site.spool.stats().quarantined == 0
    monkeypatch.setattr(site.media, "write_many", real_write)
    until(site.settled)
    assert site.gallery.count() == 5
    until(lambda: site.ingest.stats().away_s is None)


def test_redis_killed_during_ingest_loses_and_doubles_nothing(mortal_site: Site) -> None:
    site, count = mortal_site, 600
    site.ingest.start()

    def produce() -> None:
        for number in range(count):
            site.spool.put(handed_over(number, shades=(number,)))

    producer = threading.Thread(target=produce)
    producer.start()
    for share in (0.2, 0.6):
        until(lambda share=share: site.ingest.stats().delivered + site.ingest.stats().stale > share * count, 60)
        site.server.kill()
        time.sleep(0.4)
        site.server.start()
    producer.join()
    until(site.settled, 60)
    assert site.gallery.count() == count
    client = site.server.client()
    puts = [fields[b"id"] for _, fields in client.xrange(keys.CHANGES)]
    assert len(puts) == len(set(puts)) == count
    assert site.ingest.stats().replayed > 0


def test_a_server_restarted_empty_gets_the_recent_tracklets_again(mortal_site: Site) -> None:
    site = mortal_site
    site.ingest.start()
    for number in range(30):
        site.spool.put(handed_over(number))
    until(site.settled)
    before = site.gallery.get(tracklet_id(7))
    site.server.kill()
    site.server.wipe()
    site.server.start()
    assert site.gallery.count() == 0
    until(lambda: site.gallery.count() == 30)
    until(site.settled)
    assert site.gallery.get(tracklet_id(7)) == before
    assert site.ingest.stats().replayed == 30


def test_out_of_memory_holds_delivery_and_passes(mortal_site: Site) -> None:
    site, client = mortal_site, mortal_site.server.client()
    client.config_set("maxmemory", "1")
    site.ingest.start()
    for number in range(10):
        site.spool.put(handed_over(number))
    until(lambda: site.ingest.stats().away_s is not None)
    time.sleep(0.5)
    assert site.gallery.count() == 0
    assert site.spool.stats().quarantined == 0
    assert "memory" in str(site.ingest.stats().error)
    client.config_set("maxmemory", "0")
    until(site.settled)
    assert site.gallery.count() == 10


def test_a_read_only_replica_holds_delivery_and_passes(mortal_site: Site) -> None:
    site, client = mortal_site, mortal_site.server.client()
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    site.ingest.start()
    site.spool.put(handed_over(1))
    until(lambda: site.ingest.stats().away_s is not None)
    client.execute_command("REPLICAOF", "NO", "ONE")
    until(site.settled)
    assert site.gallery.count() == 1


def test_a_frozen_server_holds_delivery_and_passes(mortal_site: Site) -> None:
    site = mortal_site
    site.ingest.start()
    site.spool.put(handed_over(1))
    until(site.settled)
    os.kill(site.server.embedded.pid, signal.SIGSTOP)
    site.spool.put(handed_over(2))
    until(lambda: site.ingest.stats().away_s is not None)
    os.kill(site.server.embedded.pid, signal.SIGCONT)
    until(site.settled)
    assert site.gallery.count() == 2


def test_a_worker_killed_between_put_and_delivery_loses_nothing(tmp_path: Path, redis_server) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from pipeline.spool import Spool
        from service.gallery import Gallery, MediaStore
        from service.ingest import Ingest
        from service.redis_server import client_for
        from tests.support.tracklets import handed_over
        folder = Path(sys.argv[1])
        spool = Spool(folder / "spool.sqlite")
        Ingest(spool, Gallery(client_for(sys.argv[2])), MediaStore((folder / "media").as_uri()), batch=8).start()
        for number in range(int(sys.argv[3]), 100_000):
            spool.put(handed_over(number, shades=(number,), closed=True))
            print(f"put {number}", flush=True)
        """
    )
    root = Path(__file__).parents[2]
    acknowledged = -1
    for kill_at in (30, 90):
        worker = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), redis_server.url, str(acknowledged + 1)],
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert worker.stdout is not None
        for line in worker.stdout:
            if line.startswith(b"put"):
                acknowledged = int(line.split()[1])
                if acknowledged == kill_at:
                    worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    site = Site(tmp_path, redis_server)
    site.ingest.start()
    assert site.ingest.stop(30)
    stored = {r.track_id: r for r in site.gallery.list(limit=1000).records}
    assert set(range(acknowledged + 1)) <= set(stored)
    for record in stored.values():
        assert [site.media.read(crop.key) for crop in record.crops] == [jpeg(record.track_id)]
