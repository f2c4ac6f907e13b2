"""An installation under load whose parts are killed again and again, and the account of what was promised meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from service.audit import AuditLog
from service.gallery import Gallery, MediaStore
from service.redis_server import EmbeddedRedis, client_for
from service.security import ADMIN, AccountStore
from tests.support.api_world import PASSWORD
from tests.support.chaos_process import promises
from tests.support.installation import free_port

__all__ = ["Account", "run_chaos"]

PARTS = ("redis", "api", "worker")
CLIENTS = 2
KEPT_SEARCHES = 60  # an account keeps 200; past that the oldest goes, which is no loss
PATIENCE_S = 180.0
TOGETHER = 0.25  # of the kills take a second part at the same moment


@dataclass(slots=True)
class Promises:
    """What the API has acknowledged."""

    verdicts: list[tuple[str, str, str]] = field(default_factory=list)  # search, tracklet, verdict
    subjects: list[tuple[str, str, str]] = field(default_factory=list)  # id, name, tracklet
    cases: list[tuple[str, str]] = field(default_factory=list)  # id, title
    notes: list[tuple[str, str, str]] = field(default_factory=list)  # case, id, text
    pins: list[tuple[str, str]] = field(default_factory=list)  # case, tracklet
    audited: list[tuple[str, ...]] = field(default_factory=list)  # ids that one entry names

    @property
    def count(self) -> int:
        return sum(len(kind) for kind in (self.verdicts, self.subjects, self.cases, self.notes, self.pins))


@dataclass(frozen=True, slots=True)
class Account:
    """The outcome: how much was promised, and what of it is missing or there more than once."""

    kills: dict[str, int]
    tracklets: int
    feedback: int
    subjects: int
    cases: int
    notes: int
    pins: int
    audit_entries: int
    requests_repeated: int
    lost: list[str]
    duplicates: list[str]
    audit_chain: str
    took_s: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Place:
    """The processes, each of which is started again after a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = EmbeddedRedis(folder / "redis")
        self.port = free_port()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, part: str) -> None:
        if part == "redis":
            self.redis.start()
            return
        command = [sys.executable, "-m", "tests.support.chaos_process", part, str(self.folder), self.redis.url]
        with (self.folder / f"{part}.log").open("ab") as log:
            self._running[part] = subprocess.Popen(
                [*command, str(self.port)],
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )

    def kill(self, part: str) -> None:
        """SIGKILL, as the kernel does it."""
        if part == "redis":
            os.kill(self.redis.pid, signal.SIGKILL)
            while self.redis.is_running():
                time.sleep(0.01)
            return
        self._running[part].kill()
        self._running[part].wait()

    def ended(self) -> list[str]:
        """Parts that ended by themselves."""
        return [part for part, process in self._running.items() if process.poll() is not None]

    def log(self, part: str) -> str:
        return (self.folder / f"{part}.log").read_text(errors="replace")[-3000:]

    def promised(self) -> list[tuple[str, int]]:
        """Ids and revisions that the worker's spool has accepted."""
        path = promises(self.folder)
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [(one, int(revision)) for one, revision in map(str.split, lines)]

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self.redis.stop()


class Client:
    """Somebody at work over the API, who repeats every request, with its key, until it is answered."""

    def __init__(self, number: int, place: Place, seed: int, stop: threading.Event, made: Promises) -> None:
        self._number = number
        self._place = place
        self._random = random.Random(f"{seed} {number}")
        self._stop = stop
        self._made = made
        self._searches: list[str] = []
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{place.port}/api/v1", timeout=10.0)
        self.repeated = 0
        self.error: str | None = None

    def run(self) -> None:
        try:
            with self._http:
                self._log_in()
                step = 0
                while not self._stop.is_set():
                    self._work(step)
                    step += 1
        except Exception as error:
            if not self._stop.is_set():
                self.error = f"client {self._number}: {error!r}"

    def _log_in(self) -> None:
        answer = self._ask("POST", "/session", {"account": ADMIN, "password": PASSWORD})
        self._http.headers["Authorization"] = f"Bearer {answer['token']}"

    def _work(self, step: int) -> None:
        made, mine = self._made, f"{self._number}-{step}"
        tracklet = self._own_tracklet(step)
        subject = self._ask(
            "POST", "/subjects", {"name": f"subject {mine}", "tracklet_ids": [tracklet]}, f"s-{mine}-key"
        )
        made.subjects.append((subject["id"], f"subject {mine}", tracklet))
        made.audited.append((subject["id"], tracklet))
        case = self._ask("POST", "/cases", {"title": f"case {mine}"}, f"c-{mine}-key")
        made.cases.append((case["id"], f"case {mine}"))
        made.audited.append((case["id"],))
        note = self._ask("POST", f"/cases/{case['id']}/notes", {"text": f"note {mine}"}, f"n-{mine}-key")
        made.notes.append((case["id"], note["id"], f"note {mine}"))
        made.audited.append((case["id"], note["id"]))
        self._ask("POST", f"/cases/{case['id']}/pins", {"tracklet_ids": [tracklet]})
        made.pins.append((case["id"], tracklet))
        self._judge(tracklet, mine)

    def _judge(self, tracklet: str, mine: str) -> None:
        if len(self._searches) * CLIENTS < KEPT_SEARCHES:
            question = {"examples": [{"tracklet_id": tracklet}], "k": 50, "reason": mine}
            search = self._ask("POST", "/searches", question, f"q-{mine}-key")
            self._searches.append(search["id"])
            self._made.audited.append((search["id"],))
        search_id = self._random.choice(self._searches)
        search = self._ask("GET", f"/searches/{search_id}")
        judged = {one["tracklet"]["id"] for one in search["feedback"]}
        open_matches = [m["tracklet"]["id"] for m in search["matches"] if m["tracklet"]["id"] not in judged]
        if open_matches:
            verdict = self._random.choice(["confirm", "unsure"])
            path = f"/searches/{search_id}/feedback/{open_matches[0]}"
            self._ask("PUT", path, {"verdict": verdict})
            self._made.verdicts.append((search_id, open_matches[0], verdict))
            self._made.audited.append((search_id, open_matches[0]))

    def _own_tracklet(self, step: int) -> str:
        """A sighting that nobody else here works with, once it can be read."""
        place = CLIENTS * step + self._number
        while True:
            ids = list(dict.fromkeys(one for one, _ in self._place.promised()))
            if len(ids) > place:
                self._ask("GET", f"/tracklets/{ids[place]}", missing_is_late=True)
                return ids[place]
            self._pause()

    def _ask(
        self, method: str, path: str, body: Any = None, key: str | None = None, *, missing_is_late: bool = False
    ) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                answer = self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                self._pause()
                continue
            if answer.status_code < 300:
                return answer.json()
            if answer.status_code < 500 and not (missing_is_late and answer.status_code == 404):
                raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
            self._pause()

    def _pause(self) -> None:
        self.repeated += 1
        if self._stop.wait(0.05):
            raise InterruptedError


def run_chaos(folder: Path, kills: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Account:
    """Kill so many times, each time while work goes on; then let it settle and count."""
    began = time.monotonic()
    chance, made, stop = random.Random(seed), Promises(), threading.Event()
    place, killed = Place(folder), Counter[str]()
    try:
        place.start("redis")
        AccountStore(client_for(place.redis.url)).reset_admin(PASSWORD)
        for part in ("api", "worker"):
            place.start(part)
        with _working(place, seed, stop, made) as clients:
            for number in range(kills):
                _wait_for_work(place, clients, made)
                time.sleep(chance.uniform(0.0, 0.5))
                parts = chance.sample(PARTS, 2 if chance.random() < TOGETHER and number + 1 < kills else 1)
                for part in parts:
                    place.kill(part)
                for part in parts:
                    place.start(part)
                killed.update(parts)
                say(f"{number + 1} of {kills}: killed {' and '.join(parts)}; {made.count} promises")
            _wait_for_work(place, clients, made)
        say("letting it settle")
        return _count(place, made, killed, sum(client.repeated for client in clients), began)
    finally:
        stop.set()
        place.close()


@contextmanager
def _working(place: Place, seed: int, stop: threading.Event, made: Promises) -> Iterator[list[Client]]:
    clients = [Client(number, place, seed, stop, made) for number in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    yield clients
    stop.set()
    for thread in threads:
        thread.join(30)


def _wait_for_work(place: Place, clients: list[Client], made: Promises) -> None:
    """Until worker and API have promised something more since now."""
    spooled, count = len(place.promised()), made.count
    deadline = time.monotonic() + PATIENCE_S
    while len(place.promised()) < spooled + 3 or made.count < count + 3:
        wrong = [client.error for client in clients if client.error]
        if wrong or place.ended() or time.monotonic() > deadline:
            logs = "\n".join(f"--- {part}\n{place.log(part)}" for part in ("api", "worker"))
            raise AssertionError(f"the work does not go on: {wrong or place.ended() or 'in time'}\n{logs}")
        time.sleep(0.02)


# -- the account ---------------------------------------------------------------------------------


def _count(place: Place, made: Promises, killed: Counter[str], repeated: int, began: float) -> Account:
    redis = client_for(place.redis.url)
    gallery, media = Gallery(redis), MediaStore((place.folder / "media").as_uri())
    lost: list[str] = []
    twice: list[str] = []
    place.kill("worker")  # no new ones; then one that only delivers what is promised
    promised = dict(place.promised())
    _deliver(place)
    records = {one: record for one in promised if (record := gallery.get(one)) is not None}
    for one, revision in promised.items():
        record = records.get(one)
        if record is None or record.revision < revision:
            lost.append(f"tracklet {one} revision {revision}")
        elif not all(media.read(crop.key) for crop in record.crops):
            lost.append(f"a picture of tracklet {one}")
    with httpx.Client(base_url=f"http://127.0.0.1:{place.port}/api/v1", timeout=60.0) as http:
        answer = http.post("/session", json={"account": ADMIN, "password": PASSWORD})
        http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        listed = Counter(one["id"] for one in _all(http, "/tracklets"))
        lost += [f"tracklet {one} in the list" for one in promised if not listed[one]]
        twice += [f"tracklet {one} in the list" for one, times in listed.items() if times > 1]
        _count_people(http, made, lost, twice)
        _count_cases(http, made, lost, twice)
    log = AuditLog(redis)
    entries = [json.loads(line) for line in log.lines()]
    told = [json.dumps(entry["details"]) for entry in entries]
    lost += [f"audit entry of {ids}" for ids in made.audited if not any(all(i in text for i in ids) for text in told)]
    twice += [f"audit entry {seq}" for seq, times in Counter(e["seq"] for e in entries).items() if times > 1]
    verified = log.verify()
    return Account(
        kills=dict(killed),
        tracklets=len(promised),
        feedback=len(made.verdicts),
        subjects=len(made.subjects),
        cases=len(made.cases),
        notes=len(made.notes),
        pins=len(made.pins),
        audit_entries=len(entries),
        requests_repeated=repeated,
        lost=lost,
        duplicates=twice,
        audit_chain="intact" if verified.intact else f"broken at {verified.broken_at}: {verified.reason}",
        took_s=round(time.monotonic() - began, 1),
    )


def _deliver(place: Place) -> None:
    """What the spool still holds."""
    from pipeline.spool import Spool
    from service.ingest import Ingest

    spool = Spool(place.folder / "spool" / "chaos.sqlite")
    ingest = Ingest(spool, Gallery(client_for(place.redis.url)), MediaStore((place.folder / "media").as_uri()))
    ingest.start()
    ingest.stop(PATIENCE_S)
    spool.close()


def _count_people(http: httpx.Client, made: Promises, lost: list[str], twice: list[str]) -> None:
    names = Counter(one["name"] for one in _all(http, "/subjects"))
    for subject_id, name, tracklet in made.subjects:
        answer = http.get(f"/subjects/{subject_id}")
        sightings = [s["tracklet_id"] for s in answer.json()["sightings"]] if answer.status_code == 200 else []
        if sightings != [tracklet] or not names[name]:
            lost.append(f"{name}: {sightings}")
        if names[name] > 1:
            twice.append(name)
    kept: dict[str, Counter[tuple[str, str]]] = {}
    for search_id, tracklet, verdict in made.verdicts:
        if search_id not in kept:
            answer = http.get(f"/searches/{search_id}")
            feedback = answer.json()["feedback"] if answer.status_code == 200 else []
            kept[search_id] = Counter((one["tracklet"]["id"], one["verdict"]) for one in feedback)
        if not kept[search_id][tracklet, verdict]:
            lost.append(f"{verdict} {tracklet} of search {search_id}")
        if kept[search_id][tracklet, verdict] > 1:
            twice.append(f"{verdict} {tracklet} of search {search_id}")


def _count_cases(http: httpx.Client, made: Promises, lost: list[str], twice: list[str]) -> None:
    titles = Counter(one["title"] for one in _all(http, "/cases"))
    for _, title in made.cases:
        if not titles[title]:
            lost.append(title)
        if titles[title] > 1:
            twice.append(title)
    for case_id, note_id, text in made.notes:
        found = [(one["id"], one["text"]) for one in _all(http, f"/cases/{case_id}/notes")]
        if (note_id, text) not in found:
            lost.append(text)
        if len(found) > 1:
            twice.append(text)
    for case_id, tracklet in made.pins:
        pinned = json.dumps(_all(http, f"/cases/{case_id}/pins"))
        if tracklet not in pinned:
            lost.append(f"pin of {tracklet} in case {case_id}")


def _all(http: httpx.Client, path: str) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    while True:
        answer = http.get(path, params={"limit": 200, **({"cursor": cursor} if cursor else {})})
        if answer.status_code != 200:
            return found
        page = answer.json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
