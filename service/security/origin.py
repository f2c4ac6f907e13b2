"""Requests forged by other pages: who may send something that changes state, and as what kind of body."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from service.problems import ProblemError

__all__ = ["REQUEST_HEADER", "check_body_kind", "check_same_origin"]

# No plain HTML form and no cross-site request without preflight can set it.
REQUEST_HEADER = "x-tapetum-request"


def check_same_origin(headers: Headers, *, demand: bool) -> None:
    """Refuse what another site's page sent. With `demand`, silence about the origin is refused too.

    Raises:
        ProblemError: 403.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None and site != "same-origin":
        raise _forged()
    if origin is not None:
        # The scheme is not compared: behind a TLS proxy this process sees http.
        if not headers.get("host") or urlsplit(origin).netloc.lower() != headers["host"].lower():
            raise _forged()
    elif demand and site is None:
        raise _forged()


def check_body_kind(headers: Headers, *, by_cookie: bool) -> None:
    """Accept JSON, or multipart with a header that a form cannot set (when a cookie logs in), or no body.

    Raises:
        ProblemError: 415 or 403.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    length = headers.get("content-length", "0")
    has_body = "transfer-encoding" in headers or length != "0"
    if not kind and not has_body:
        return
    if kind == "multipart/form-data":
        if by_cookie and REQUEST_HEADER not in headers:
            raise ProblemError(403, "header-missing", "A multipart request needs the header X-Tapetum-Request: 1.")
        return
    if kind != "application/json":
        raise ProblemError(
            415, "unsupported-media-type", "Send application/json, or multipart/form-data where a file is meant."
        )


def _forged() -> ProblemError:
    return ProblemError(403, "cross-site", "This request did not come from Tapetum's own page.")
