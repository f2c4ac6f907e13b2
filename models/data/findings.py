"""What a reader of a data set has to say about the folder it reads."""

from __future__ import annotations

from models.data.samples import DataError

__all__ = ["Findings"]


class Findings:
    """Collects what is wrong, or stops at the first wrong thing.

    One reader serves two purposes: opening a data set, where a problem is an error, and checking it, where the
    reader goes on with what it could use so that one run names every problem.

    Attributes:
        collect: False to raise each problem as `DataError`.
        problems: sentences, in the order they were found.
        notes: what is unusual yet usable; only looked for while collecting.
    """

    def __init__(self, *, collect: bool) -> None:
        self.collect = collect
        self.problems: list[str] = []
        self.notes: list[str] = []

    def problem(self, sentence: str) -> None:
        if not self.collect:
            raise DataError(sentence)
        self.problems.append(sentence)

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)
