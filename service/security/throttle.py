"""Slows down password guessing: counts attempts in Redis, per address and over all addresses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from service.security.windows import count_in_window

__all__ = ["LoginThrottle"]

_PREFIX = "tapetum:login:"


@dataclass(frozen=True, slots=True)
class LoginThrottle:
    """A fixed window per address and one over all.

    An attempt is counted before the password is looked at, so that many at once gain nothing.
    A right password gives back its own attempt and no other: who has an account gains no guesses at the others.
    The limit over all addresses is per minute and generous: it stops a distributed guess without letting a
    stranger lock the operator out for long.
    """

    redis: Any
    per_address: int = 10
    per_address_window_s: int = 900
    over_all: int = 120
    over_all_window_s: int = 60

    def admit(self, address: str) -> int:
        """Count one attempt. Returns 0 when it may go on, else the seconds to wait.

        What an address tries beyond its own limit is not counted over all: one stranger cannot shut everybody out.
        """
        for key, limit, window_s in (
            (self._key(address), self.per_address, self.per_address_window_s),
            (_PREFIX + "all", self.over_all, self.over_all_window_s),
        ):
            count, left_s = count_in_window(self.redis, key, window_s)
            if count > limit:
                return left_s
        return 0

    def forgive(self, address: str) -> None:
        """Give back the attempt that was right."""
        key = self._key(address)
        if self.redis.decr(key) < 0:  # the window ended meanwhile
            self.redis.delete(key)

    @staticmethod
    def _key(address: str) -> str:
        return _PREFIX + hashlib.sha256(address.encode()).hexdigest()[:32]
