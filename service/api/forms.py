"""Multipart forms with one file, kept in memory: no temporary file is made."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.problems import ProblemError

__all__ = ["read_form"]


async def read_form(
    request: Request, file_field: str, *, noun: str, max_bytes: int, others: Collection[str] = ()
) -> tuple[bytes, dict[str, str]]:
    """The file's bytes and the other fields.

    Args:
        noun: what the file is called in sentences.
        others: names of fields that there may be beside it.

    Raises:
        ProblemError: 400, 413, 415 or 422.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        told = f"Send the {noun} as multipart/form-data, in the field {file_field}."
        raise ProblemError(415, "unsupported-media-type", told)
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=1, max_fields=len(others) + 1, max_part_size=1024
    )
    parser.spool_max_size = max_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ProblemError(400, "bad-form", f"The form could not be read: {error.message}") from None
    except KeyError:
        raise ProblemError(400, "bad-form", "The form names no boundary.") from None
    try:
        unknown = sorted(set(form.keys()) - {file_field, *others})
        if unknown:
            raise ProblemError(422, "invalid", f"Unknown field {unknown[0][:40]!r}.")
        file = form.get(file_field)
        if not isinstance(file, UploadFile):
            raise ProblemError(422, "invalid", f"The field {file_field} must hold a file.")
        if (file.size or 0) > max_bytes:
            raise ProblemError(413, "too-large", f"The {noun} is larger than {max_bytes / 2**20:.3g} MiB.")
        data = await file.read()
        return data, {name: value for name, value in form.items() if isinstance(value, str)}
    finally:
        await form.close()
