"""What can go wrong with a camera, in types that say what to do about it."""

# ruff: noqa: N818 - the names say what happened; that they are errors, their base does

from __future__ import annotations

from pipeline.camera_url import mask_url

__all__ = [
    "SourceBroken",
    "SourceCorrupt",
    "SourceError",
    "SourceNotFound",
    "SourceRefused",
    "SourceTimedOut",
    "SourceUnauthorized",
    "SourceUnreachable",
    "SourceUnsupported",
]


class SourceError(Exception):
    """A camera could not be opened or read. The message is one plain sentence without credentials.

    Attributes:
        kind: a short name for counters and APIs.
        persistent: waiting is unlikely to help, somebody has to change something; retries are slow.
    """

    kind = "error"
    persistent = False

    def __init__(self, message: str) -> None:
        super().__init__(mask_url(message))


class SourceUnreachable(SourceError):
    """Nothing answers at the address."""

    kind = "unreachable"


class SourceTimedOut(SourceError):
    """Connected, but no picture within the time allowed."""

    kind = "timed_out"


class SourceBroken(SourceError):
    """The stream ended or the connection broke."""

    kind = "broken"


class SourceUnauthorized(SourceError):
    """The camera asks for a login, or for another one."""

    kind = "unauthorized"
    persistent = True


class SourceNotFound(SourceError):
    """The camera answers and has no such stream; or there is no such file."""

    kind = "not_found"
    persistent = True


class SourceUnsupported(SourceError):
    """There is no video in it that can be decoded, or its pictures are too large."""

    kind = "unsupported"
    persistent = True


class SourceCorrupt(SourceError):
    """What came is not video, or is damaged beyond use."""

    kind = "corrupt"


class SourceRefused(SourceError):
    """The address is not allowed, or it tried to lead somewhere else."""

    kind = "refused"
    persistent = True
