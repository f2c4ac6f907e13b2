"""Sums and samples of a stretch of time, in a form in which the parts of several processes can be put together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from functools import reduce

__all__ = ["Level", "Part", "Tally"]

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Level:
    """How a value stood that was looked at now and then."""

    samples: int
    total: float
    least: float
    greatest: float
    last: float

    @classmethod
    def of(cls, value: float) -> Level:
        return cls(1, value, value, value, value)

    @property
    def mean(self) -> float:
        return self.total / self.samples

    def then(self, later: Level) -> Level:
        """Both together; `later` is the one that says what came last."""
        return Level(
            self.samples + later.samples,
            self.total + later.total,
            min(self.least, later.least),
            max(self.greatest, later.greatest),
            later.last,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What one process, or several, tell of a stretch of time: `counts` add up, `levels` were sampled."""

    counts: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, Level] = field(default_factory=dict)

    @classmethod
    def of_all(cls, parts: Iterable[Part]) -> Part:
        """Parts put together, the last one last."""
        return reduce(cls._then, parts, cls())

    def _then(self, later: Part) -> Part:
        counts = dict(self.counts)
        for name, count in later.counts.items():
            counts[name] = counts.get(name, 0) + count
        levels = dict(self.levels)
        for name, level in later.levels.items():
            levels[name] = levels[name].then(level) if name in levels else level
        return Part(counts, levels)

    def under(self, head: str) -> dict[str, float]:
        """The counts whose names begin with ``head.``, by the rest of their names."""
        return {name.removeprefix(f"{head}."): n for name, n in self.counts.items() if name.startswith(f"{head}.")}

    def write(self) -> str:
        counts = {name: round(count, _DIGITS) for name, count in self.counts.items() if count}
        levels = {name: [round(value, _DIGITS) for value in astuple(level)] for name, level in self.levels.items()}
        return json.dumps([counts, levels], separators=(",", ":"))

    @classmethod
    def read(cls, text: bytes | str) -> Part:
        """Raises ValueError for anything that `write` would not have written."""
        try:
            counts, levels = json.loads(text)
            return cls(
                {str(name): float(count) for name, count in counts.items()},
                {str(name): Level(int(level[0]), *map(float, level[1:])) for name, level in levels.items() if level[0]},
            )
        except (TypeError, AttributeError, IndexError, ValueError) as error:
            raise ValueError(f"expected a part of a history: {error!r}") from None


class Tally:
    """A part under way."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._levels: dict[str, Level] = {}

    def count(self, name: str, count: float = 1) -> None:
        self._counts[name] += count  # type: ignore[assignment]  # seconds are no whole numbers

    def sample(self, name: str, value: float) -> None:
        level = Level.of(value)
        self._levels[name] = self._levels[name].then(level) if name in self._levels else level

    def part(self) -> Part:
        return Part(dict(self._counts), dict(self._levels))
