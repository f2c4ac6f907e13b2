"""The login page: one form, its own style and script, nothing else of the application."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse

from service.dashboard.logo import LOGO

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_HERE = Path(__file__).parent

_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark">
<title>Log in · Tapetum</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/login/login.css">
<script src="/login/login.js" defer></script>
</head>
<body>
<main>
<form id="login" method="post" action="/api/v1/session" autocomplete="on">
<h1>{LOGO}Tapetum</h1>
<p class="quiet">Find a person across day and night cameras.</p>
<label for="account">Account</label>
<input id="account" name="account" autocomplete="username" value="admin" required maxlength="64">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus maxlength="256">
<p id="error" role="alert"></p>
<button type="submit">Log in</button>
<noscript><p class="quiet">Tapetum needs JavaScript.</p></noscript>
</form>
</main>
</body>
</html>
"""


@router.get("/login")
async def login_page() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers={"cache-control": "no-store"})


@router.get("/login/login.css")
async def login_style() -> FileResponse:
    return FileResponse(_HERE / "login.css", media_type="text/css")


@router.get("/login/login.js")
async def login_script() -> FileResponse:
    return FileResponse(_HERE / "login.js", media_type="text/javascript")
