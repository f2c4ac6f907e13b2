"""The login page: a form, a way to the login service where there is one, its own style and script."""

from __future__ import annotations

from html import escape
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse

from service.api.access import OpenToAll
from service.api.oidc import BEGIN_PATH
from service.dashboard import strings
from service.dashboard.plain import plain_page

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_HERE = Path(__file__).parent

_PAGE = plain_page(
    "Log in",
    f"""<p class="quiet">Find a person across day and night cameras.</p>
<!--because-->
<!--form--><form id="login" method="post" action="/api/v1/session" autocomplete="on">
<label for="account">Account</label>
<input id="account" name="account" autocomplete="username" value="admin" required maxlength="64">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus maxlength="256">
<p id="error" role="alert"></p>
<button type="submit">Log in</button>
</form><!--/form-->
<!--service--><a id="service" class="button" href="{BEGIN_PATH}">Single sign-on</a><!--/service-->
<noscript><p class="quiet">Tapetum needs JavaScript.</p></noscript>""",
)


@router.get("/login")
async def login_page(services: OpenToAll, because: str = "") -> HTMLResponse:
    """`because` names what brought somebody here who had been logged in; anything else is nothing."""
    page = _PAGE if services.settings.local_login else _without("form", _PAGE)
    why = strings.LOGIN_BECAUSE.get(because)
    page = page.replace("<!--because-->", f'<p class="because" role="status">{escape(why)}</p>' if why else "")
    page = page if services.oidc is not None else _without("service", page)
    return HTMLResponse(page, headers={"cache-control": "no-store"})


def _without(part: str, page: str) -> str:
    before, _, rest = page.partition(f"<!--{part}-->")
    return before + rest.partition(f"<!--/{part}-->")[2]


@router.get("/login/login.css")
async def login_style() -> FileResponse:
    return FileResponse(_HERE / "login.css", media_type="text/css")


@router.get("/login/login.js")
async def login_script() -> FileResponse:
    return FileResponse(_HERE / "login.js", media_type="text/javascript")
