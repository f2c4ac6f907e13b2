"""Parts of an answer, as players of films ask for them (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Header, Response, status

from service.problems import Problem, ProblemError

__all__ = ["RANGES", "AskedRange", "NotIfRange", "answer_part"]

AskedRange = Annotated[
    str | None,
    Header(
        alias="Range",
        max_length=200,
        description="One range, such as `bytes=0-1023`. What is none of that is answered with the whole.",
        examples=["bytes=0-1023"],
    ),
]
NotIfRange = Annotated[str | None, Header(alias="If-Range", include_in_schema=False)]
RANGES: dict[int | str, dict[str, Any]] = {
    206: {"content": {"video/mp4": {}}, "description": "The part that was asked for."},
    416: {"model": Problem, "description": "The range lies beyond the end."},
}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def answer_part(data: bytes, asked: str | None, if_range: str | None, *, media_type: str) -> Response:
    """All of it, or the one range that is asked for.

    Raises:
        ProblemError: 416 for a range beyond the end.
    """
    headers = {"Accept-Ranges": "bytes"}
    match = _RANGE.fullmatch((asked or "").strip())
    # Nothing here has a validator that If-Range could name.
    if match is None or if_range is not None or match[0] == "bytes=-":
        return Response(data, media_type=media_type, headers=headers)
    size = len(data)
    if match[1]:
        first, last = int(match[1]), int(match[2]) if match[2] else size - 1
        if match[2] and last < first:
            return Response(data, media_type=media_type, headers=headers)
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first >= size:
        raise ProblemError(
            416, "range-not-satisfiable", f"There are {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    last = min(last, size - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(data[first : last + 1], status.HTTP_206_PARTIAL_CONTENT, media_type=media_type, headers=headers)
