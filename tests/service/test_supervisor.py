"""Children are restarted when they die, and all end when the supervisor is told to."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from service import supervisor as module
from service.supervisor import Child, Supervisor


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children run a tiny program instead of the command line, so that the test is about the supervision."""
    real = module.subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return real([command[0], "-c", command[3]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    monkeypatch.setattr(Supervisor, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(Supervisor, "REVIVE_EVERY_S", 0.05)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def run(quick: None) -> Iterator[Callable[[Supervisor], threading.Event]]:
    running: list[tuple[threading.Event, threading.Thread]] = []

    def start(supervisor: Supervisor) -> threading.Event:
        stop = threading.Event()
        supervisor.start()
        thread = threading.Thread(target=supervisor.watch, args=(stop,))
        thread.start()
        running.append((stop, thread))
        return stop

    yield start
    for stop, thread in running:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_child_comes_back_and_its_sister_is_left_alone(run: Callable[[Supervisor], threading.Event]) -> None:
    children = [Child(name, ["import time; time.sleep(600)"]) for name in ("one", "two")]
    run(Supervisor(children))
    assert children[0].process is not None
    assert children[1].process is not None
    first, sister = children[0].process.pid, children[1].process.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: children[0].process is not None and children[0].process.pid != first)
    assert children[1].process.pid == sister
    assert alive(sister)


def test_child_that_dies_young_is_started_ever_later(run: Callable[[Supervisor], threading.Event]) -> None:
    child = Child("broken", ["raise SystemExit(3)"])
    run(Supervisor([child]))
    until(lambda: child.restarts >= 3)
    assert child.not_before_s - time.monotonic() < 0.05 * 2**child.restarts + 0.1


def test_stop_ends_even_a_child_that_will_not_listen(run: Callable[[Supervisor], threading.Event]) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    child = Child("deaf", [deaf])
    stop = run(Supervisor([child], grace_s=1.0))
    assert child.process is not None
    process = child.process
    time.sleep(1.0)
    stop.set()
    until(lambda: process.poll() is not None)
    assert process.returncode == -signal.SIGKILL


def test_what_the_children_stand_on_is_revived_and_its_failure_survived(
    run: Callable[[Supervisor], threading.Event],
) -> None:
    calls: list[int] = []

    def revive() -> None:
        calls.append(1)
        raise RuntimeError("no server program")

    child = Child("one", ["import time; time.sleep(600)"])
    run(Supervisor([child], revive=revive))
    until(lambda: len(calls) >= 3)
    assert child.process is not None
    assert child.process.poll() is None


def test_who_can_wait_gives_way(run: Callable[[Supervisor], threading.Event]) -> None:
    sleep = "import time; time.sleep(600)"
    children = [Child("waited for", [sleep]), Child("can wait", [sleep], niceness=6)]
    run(Supervisor(children))
    ours = os.nice(0)
    theirs = min(19, ours + 6)
    pids = [c.process.pid for c in children if c.process]
    assert [psutil.Process(pid).nice() for pid in pids] == [ours, theirs]
    groups = [Path(f"/proc/{pid}/autogroup") for pid in pids]
    if all(group.exists() for group in groups):  # Linux, if its kernel groups by session
        assert [int(group.read_text().split()[-1]) for group in groups] == [0, theirs // 2]
