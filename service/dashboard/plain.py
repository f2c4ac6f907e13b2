"""Pages without NiceGUI: the way in, and where there is nothing."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from service.dashboard import strings
from service.dashboard.logo import LOGO

__all__ = ["no_such_page", "plain_page"]


def plain_page(title: str, body: str) -> str:
    """HTML in the colours of the pages; `body` is HTML."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Tapetum</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/login/login.css">
<script src="/login/login.js"></script>
</head>
<body>
<main>
<h1>{LOGO}Tapetum</h1>
{body}
</main>
</body>
</html>
"""


async def no_such_page(request: Request, _error: Exception) -> Response:
    """Answers for an address that leads nowhere, whether it was typed or is of an earlier version."""
    if request.url.path.startswith("/_nicegui"):
        return PlainTextResponse("Not found", 404)
    body = f'<p>{strings.NO_SUCH_PAGE}</p>\n<a class="button" href="/">{strings.TO_LIVE}</a>'
    return HTMLResponse(plain_page(strings.NOT_FOUND, body), 404)
