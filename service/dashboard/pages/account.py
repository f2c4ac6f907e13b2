"""One's own account: its API tokens and its password."""

from __future__ import annotations

from functools import partial
from html import escape

from nicegui import ui

from service.api.schema_people import TokenCreate
from service.dashboard import strings
from service.dashboard.components import PasswordForm
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, ask_first, empty, heading, primary, quiet, table_head
from service.dashboard.secrets_shown import show_secret
from service.security.tokens import ApiToken

__all__ = ["AccountPage"]


class AccountPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def build(self) -> None:
        access = self._desk.scoped.access
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                heading(access.account)
                ui.label(strings.ROLES[access.role.value]).classes("tp-quiet")
                ui.element("span").classes("tp-grow")
                primary(strings.ADD_TOKEN, self._form, icon="key")
            with ui.element("div").classes("tp-case"):
                with ui.element("section").classes("tp-block"):
                    heading(strings.TOKENS, level=2)
                    ui.label(strings.TOKENS_TEXT).classes("tp-note")
                    self._body = ui.element("div").classes("tp-scroll").props("tabindex=0 role=region")
                    self._body.props["aria-label"] = strings.TOKENS
                with ui.element("section").classes("tp-block"):
                    heading(strings.PASSWORD["title"], level=2)
                    self._password = ui.element("div")
        await self._desk.ready()
        await self._draw()
        await self._draw_password()

    async def _draw_password(self) -> None:
        desk = self._desk
        try:
            here = desk.scoped.settings.local_login and await desk.ask(desk.scoped.people.has_password)
        except Unanswered as error:
            with self._password:
                ui.label(str(error)).classes("tp-error")
            return
        with self._password:
            if here:
                PasswordForm(desk.scoped.access.account)
            else:
                ui.label(strings.PASSWORD_ELSEWHERE).classes("tp-note")

    async def _draw(self) -> None:
        self._body.clear()
        try:
            tokens = await self._desk.ask(self._desk.scoped.people.list_tokens)
        except Unanswered as error:
            with self._body:
                empty("cloud_off", str(error), bad=True)
            return
        with self._body:
            if not tokens:
                ui.label(strings.NO_TOKENS).classes("tp-quiet")
                return
            with ui.element("table").classes("tp-table"):
                table_head(strings.TOKEN_COLUMNS)
                with ui.element("tbody"):
                    for token in tokens:
                        self._row(token)

    def _row(self, token: ApiToken) -> None:
        clock = self._desk.clock
        used = clock.short(token.last_used_at) if token.last_used_at is not None else strings.NEVER
        cells = (token.name, strings.ROLES[token.role.value], clock.short(token.expires_at), used)
        with ui.element("tr"):
            for text in cells:
                ui.html(escape(text), sanitize=False, tag="td")
            with ui.element("td"):
                revoke = quiet(strings.REVOKE, partial(self._ask_revoke, token)).classes("tp-bad")
                revoke.props["aria-label"] = f"{strings.REVOKE} {token.name}"

    async def _form(self) -> None:
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.ADD_TOKEN, level=2)
            name = ui.input(strings.TOKEN_NAME).props("filled dense stack-label maxlength=64 autofocus")
            days = ui.select(strings.TOKEN_DAYS, label=strings.VALID_FOR, value=90)
            days.props("filled dense stack-label options-dense")
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, lambda: dialog.submit(True))
                quiet(strings.CANCEL, lambda: dialog.submit(False))
        wanted = await answer_of(dialog)
        if not wanted:
            return

        def add() -> tuple[str, ApiToken]:
            token = TokenCreate(name=str(name.value or "").strip(), expires_in_days=float(days.value))
            return self._desk.scoped.people.add_token(token.name, days=token.expires_in_days)

        made = await self._desk.try_to(add)
        if made is not None:
            await self._draw()
            show_secret(strings.TOKEN_OF.format(name=made[1].name), made[0])

    async def _ask_revoke(self, token: ApiToken) -> None:
        await ask_first(
            strings.REVOKE_SURE.format(name=token.name), partial(self._revoke, token.id), verb=strings.REVOKE
        )

    async def _revoke(self, token_id: str) -> None:
        if await self._desk.try_to(lambda: self._desk.scoped.people.revoke_token(token_id)) is not None:
            await self._draw()
