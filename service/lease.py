"""One process at a time over all that share a Redis: whoever holds the lease, and renews it while it works."""

from __future__ import annotations

import secrets

import redis

from service.gallery.store import redis_at_work

__all__ = ["Lease"]

# KEYS: lease. ARGV: who, seconds. Returns 1 when it is theirs now.
_TAKE = """#!lua
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""

# KEYS: lease. ARGV: who.
_GIVE_BACK = """#!lua
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""


class Lease:
    """A lease on one key. Every method raises GalleryUnavailable when Redis cannot serve.

    Args:
        seconds: after which a holder that died is forgotten; a living one must `take` it again before.
    """

    def __init__(self, client: redis.Redis, name: str, seconds: int) -> None:
        self._name, self._seconds = name, seconds
        self._redis = client
        self._token = secrets.token_hex(8)
        self._take = client.register_script(_TAKE)
        self._give_back = client.register_script(_GIVE_BACK)

    def take(self) -> bool:
        """Take or renew it; False while another process has it."""
        with redis_at_work():
            return bool(self._take([self._name], [self._token, self._seconds]))

    def give_back(self) -> None:
        with redis_at_work():
            self._give_back([self._name], [self._token])

    def is_held(self) -> bool:
        """Whether somebody has it."""
        with redis_at_work():
            return bool(self._redis.exists(self._name))
