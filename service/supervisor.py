"""Keeps the processes of one machine running: starts them, restarts what dies, ends all of them cleanly."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

__all__ = ["Child", "Supervisor", "give_way"]

log = structlog.get_logger("tapetum.supervisor")

_AUTOGROUP = Path("/proc/self/autogroup")


@dataclass(slots=True)
class Child:
    """One process: ``python -m service.cli ARGUMENTS`` with its own additions to the environment.

    Attributes:
        niceness: added to ours: who does what can wait gives way to who is waited for.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    niceness: int = 0
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    started_s: float = 0.0
    not_before_s: float = 0.0


class Supervisor:
    """Runs children until told to stop. A child that dies is started again, later each time it dies young.

    Args:
        grace_s: for a child to end by itself.
        revive: called every second; starts again what the children stand on (the embedded server), if it died.
    """

    FIRST_PAUSE_S = 0.5
    LONGEST_PAUSE_S = 30.0
    HEALTHY_AFTER_S = 60.0
    REVIVE_EVERY_S = 1.0

    def __init__(self, children: Sequence[Child], *, grace_s: float = 30.0, revive: Callable[[], object] | None = None):
        self._children = list(children)
        self._revive = revive
        self._grace_s = grace_s
        self._revived_s = 0.0

    def start(self) -> None:
        for child in self._children:
            self._start(child)

    def watch(self, stop: threading.Event) -> None:
        """Restart what dies, until `stop` is set; then end every child."""
        try:
            while not stop.wait(0.2):
                for child in self._children:
                    self._look_after(child)
                self._look_after_the_rest()
        finally:
            self.end()

    def end(self) -> None:
        """SIGTERM to all, then SIGKILL to those that do not end within the grace time."""
        running = [c.process for c in self._children if c.process is not None and c.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._grace_s
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("process did not end in time and is killed", pid=process.pid)
                process.kill()
                process.wait()

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *child.arguments],
            env={**os.environ, **child.environment},
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches the whole foreground group; only the supervisor may decide the order of ending.
            start_new_session=True,
            preexec_fn=partial(_begin, child.niceness),
        )
        child.started_s = time.monotonic()
        log.debug("process started", name=child.name, pid=child.process.pid)

    def _look_after_the_rest(self) -> None:
        now = time.monotonic()
        if self._revive is None or now - self._revived_s < self.REVIVE_EVERY_S:
            return
        self._revived_s = now
        try:
            self._revive()
        except Exception:
            log.exception("what the processes stand on could not be started again")

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            lived_s = now - child.started_s
            child.restarts = 0 if lived_s > self.HEALTHY_AFTER_S else child.restarts + 1
            pause_s = min(self.LONGEST_PAUSE_S, self.FIRST_PAUSE_S * 2**child.restarts)
            child.not_before_s = now + pause_s
            log.error("process ended", name=child.name, code=child.process.returncode, restart_in_s=pause_s)
            child.process = None
        if child.process is None and now >= child.not_before_s:
            self._start(child)


def give_way(niceness: int) -> None:
    """Be nicer by so much: this process, and on Linux by half as much its session, of which it must be the first.

    Where Linux groups by session (``kernel.sched_autogroup_enabled``) it shares processors between sessions first, and
    niceness counts within one: sched(7). A session gives way to everything on the machine, so by less: by 5 it is left
    with a quarter of a processor that another one wants too, by 10 with a tenth.
    """
    if niceness:
        own = os.nice(niceness)
        with contextlib.suppress(OSError):  # another system, or a kernel without such groups
            _AUTOGROUP.write_text(str(own // 2))


def _begin(niceness: int) -> None:
    """In the child, before it becomes the program. Linux: the kernel sends it SIGTERM when the supervisor is killed."""
    give_way(niceness)
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
