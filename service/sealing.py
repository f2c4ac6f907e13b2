"""Which keys vectors and pictures are encrypted with, and that all processes of an installation agree on them.

The installation remembers the ids of its keys in Redis. A process that lacks one of them, or would encrypt with one
that is being retired, is refused with a sentence: it would write what others cannot read, or leave out what it cannot.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import cast

import redis

from pipeline.sealing import KEY_BYTES, Sealer
from service.gallery.store import redis_at_work
from service.settings import Settings, SettingsError

__all__ = ["KeyMismatchError", "KeyRegistry", "claimed_sealer", "sealer_of"]

_KEYS = "tapetum:encryption"  # hash: key id -> in-use, retiring, retired
_NAMES = "TAPETUM_ENCRYPTION_KEYS or TAPETUM_ENCRYPTION_KEY_FILE"

# KEYS: registry. ARGV: all ids of this process, the one that it encrypts with first.
# Returns '' when it may go on, else an id that it lacks, or 'retired'.
_CLAIM = """#!lua
local mine = {}
for _, id in ipairs(ARGV) do mine[id] = true end
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  if known[i + 1] ~= 'retired' and not mine[known[i]] then return known[i] end
  if known[i] == ARGV[1] and known[i + 1] ~= 'in-use' then return 'retired' end
end
if ARGV[1] then redis.call('HSETNX', KEYS[1], ARGV[1], 'in-use') end
return ''
"""

# KEYS: registry. ARGV: the id that stays, state before, state after. Returns how many were changed.
_TURN = """#!lua
local changed = 0
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  if known[i] ~= ARGV[1] and known[i + 1] == ARGV[2] then
    redis.call('HSET', KEYS[1], known[i], ARGV[3])
    changed = changed + 1
  end
end
return changed
"""


class KeyMismatchError(RuntimeError):
    """This process has other keys than the installation; the message names the setting."""


def sealer_of(settings: Settings) -> Sealer:
    """The keys of the configuration; without any, nothing is encrypted. Raises SettingsError naming the key."""
    if settings.encryption_keys and settings.encryption_key_file is not None:
        raise SettingsError(f"{_NAMES}: set one of them, not both")
    if settings.encryption_key_file is not None:
        return Sealer(_parsed(_lines(settings), "TAPETUM_ENCRYPTION_KEY_FILE"))
    return Sealer(_parsed([key.get_secret_value() for key in settings.encryption_keys], "TAPETUM_ENCRYPTION_KEYS"))


def claimed_sealer(settings: Settings, client: redis.Redis) -> Sealer:
    """The same, once it is sure that they are the installation's. Raises SettingsError or KeyMismatchError."""
    sealer = sealer_of(settings)
    KeyRegistry(client, sealer).claim()
    return sealer


class KeyRegistry:
    """The installation's keys by id. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis, sealer: Sealer) -> None:
        self._redis, self._ids = client, sealer.ids
        self._claim = client.register_script(_CLAIM)
        self._turn = client.register_script(_TURN)

    def claim(self) -> None:
        """Say that this process encrypts with its first key. Raises KeyMismatchError when it may not."""
        with redis_at_work():
            said = cast("bytes", self._claim([_KEYS], list(self._ids))).decode()
        if said == "retired":
            raise KeyMismatchError(f"{_NAMES}: key {self._ids[0]} was retired by a rekey; put the newer one first")
        if said and not self._ids:
            raise KeyMismatchError(f"{_NAMES}: this installation is encrypted with key {said}, and no key is set")
        if said:
            raise KeyMismatchError(
                f"{_NAMES}: this installation is encrypted with key {said}, which is not among {', '.join(self._ids)}"
            )

    def begin_retiring(self) -> int:
        """From now on nobody may encrypt with another key than this process' first. Returns how many that stops."""
        with redis_at_work():
            return int(cast("int", self._turn([_KEYS], [self._ids[0], "in-use", "retiring"])))

    def end_retiring(self) -> int:
        """Nothing is left under the keys that were being retired: nobody needs them any more."""
        with redis_at_work():
            return int(cast("int", self._turn([_KEYS], [self._ids[0], "retiring", "retired"])))


def _lines(settings: Settings) -> list[str]:
    path = settings.encryption_key_file
    assert path is not None  # noqa: S101  asked before
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        raise SettingsError(f"TAPETUM_ENCRYPTION_KEY_FILE: {path} is not a text of keys") from None
    except OSError as error:
        raise SettingsError(f"TAPETUM_ENCRYPTION_KEY_FILE: {path}: {error.strerror or error}") from None
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    if not kept:
        raise SettingsError(f"TAPETUM_ENCRYPTION_KEY_FILE: {path} holds no key")
    return kept


def _parsed(texts: Sequence[str], name: str) -> list[bytes]:
    """Keys from base64. What is wrong is named by its number, never shown."""
    found: list[bytes] = []
    for number, text in enumerate(texts, 1):
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise SettingsError(f"{name}: key {number} is not base64; `openssl rand -base64 32` makes one") from None
        if len(key) != KEY_BYTES:
            raise SettingsError(
                f"{name}: key {number} has {len(key)} bytes instead of {KEY_BYTES}; `openssl rand -base64 32` makes one"
            )
        if key in found:
            raise SettingsError(f"{name}: key {number} is there twice")
        found.append(key)
    return found
