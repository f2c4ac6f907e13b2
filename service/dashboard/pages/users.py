"""Accounts: who there is, what they may do and see."""

from __future__ import annotations

from functools import partial
from html import escape

from nicegui import ui

from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered
from service.dashboard.elements import answer_of, ask_first, empty, heading, primary, quiet, table_head
from service.dashboard.secrets_shown import show_secret
from service.security.access import Role
from service.security.accounts import Account

__all__ = ["UsersPage"]


class UsersPage:
    """Of one tab, while it is looked at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def build(self) -> None:
        with ui.element("div").classes("tp-page"):
            with ui.element("div").classes("tp-line"):
                heading(strings.USERS)
                ui.element("span").classes("tp-grow")
                primary(strings.ADD_USER, partial(self._form, None), icon="person_add")
            self._body = (
                ui.element("div").classes("tp-scroll").props(f'tabindex=0 role=region aria-label="{strings.USERS}"')
            )
        await self._desk.ready()
        await self._draw()

    async def _draw(self) -> None:
        self._body.clear()
        try:
            accounts = await self._desk.ask(self._desk.scoped.people.list)
            self._names = dict(await self._desk.camera_names())
        except Unanswered as error:
            with self._body:
                empty("cloud_off", str(error), bad=True)
            return
        with self._body, ui.element("table").classes("tp-table tp-users"):
            table_head(strings.USER_COLUMNS)
            with ui.element("tbody"):
                for account in accounts:
                    self._row(account)

    def _row(self, account: Account) -> None:
        cells = (
            account.name,
            strings.ROLES[account.role.value],
            self._told_cameras(account),
            strings.ACTIVE if account.active else strings.INACTIVE,
            self._desk.clock.short(account.changed_at),
        )
        with ui.element("tr"):
            for text in cells:
                ui.html(escape(text), sanitize=False, tag="td")
            with ui.element("td").classes("tp-nowrap"):
                change = quiet(strings.CHANGE, partial(self._form, account))
                change.props["aria-label"] = f"{strings.CHANGE} {account.name}"
                remove = quiet(strings.REMOVE, partial(self._ask_remove, account)).classes("tp-bad")
                remove.props["aria-label"] = f"{strings.REMOVE} {account.name}"

    def _told_cameras(self, account: Account) -> str:
        if account.cameras is None:
            return strings.ALL_CAMERAS
        return ", ".join(sorted(self._names.get(one, one) for one in account.cameras)) or strings.NO_CAMERA

    async def _form(self, account: Account | None) -> None:
        """Ask for a new account, or for changes of one; the secret is made here and shown once."""
        names = await self._desk.try_to(self._desk.scoped.camera_names)
        if names is None:
            return
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            heading(strings.ADD_USER if account is None else account.name, level=2)
            name = ui.input(strings.AUDIT_ACCOUNT).props("filled dense stack-label maxlength=64 autofocus")
            name.set_visibility(account is None)
            roles = {role.value: strings.ROLES[role.value] for role in Role}
            role = ui.select(roles, label=strings.ROLE, value=(account.role if account else Role.OPERATOR).value)
            role.props("filled dense stack-label options-dense")
            chosen = list((account.cameras if account is not None else None) or ())
            options = {**{one: one for one in chosen}, **names}
            every = ui.checkbox(strings.EVERY_CAMERA, value=account is None or account.cameras is None).props("dense")
            some = ui.select(options, label=strings.FILTER_CAMERAS, multiple=True, value=chosen)
            some.props("filled dense stack-label options-dense use-chips").bind_visibility_from(
                every, "value", backward=lambda on: not on
            )
            active = ui.checkbox(strings.ACTIVE, value=account is None or account.active).props("dense")
            active.set_visibility(account is not None)
            with ui.element("div").classes("tp-line"):
                primary(strings.KEEP, lambda: dialog.submit(True))
                if account is not None:
                    quiet(strings.NEW_PASSWORD, lambda: dialog.submit("password"))
                quiet(strings.CANCEL, lambda: dialog.submit(False))
        wanted = await answer_of(dialog)
        cameras = None if every.value else list(some.value)
        if wanted is True and account is None:
            await self._add(str(name.value or ""), Role(role.value), cameras)
        elif wanted is True and account is not None:
            await self._change(account, Role(role.value), cameras, active=bool(active.value))
        elif wanted == "password" and account is not None:
            await self._new_password(account)

    async def _add(self, name: str, role: Role, cameras: list[str] | None) -> None:
        made = await self._desk.try_to(lambda: self._desk.scoped.people.add(name, role, cameras))
        if made is not None:
            await self._draw()
            show_secret(strings.PASSWORD_OF.format(account=made[0].name), made[1] or "")

    async def _change(self, account: Account, role: Role, cameras: list[str] | None, *, active: bool) -> None:
        people = self._desk.scoped.people
        changed = await self._desk.try_to(
            lambda: people.set(
                account.name,
                role=role if role is not account.role else None,
                cameras=cameras if cameras is not None and frozenset(cameras) != account.cameras else None,
                every_camera=cameras is None and account.cameras is not None,
                active=active if active is not account.active else None,
            )
        )
        if changed is not None:
            await self._draw()

    async def _new_password(self, account: Account) -> None:
        people = self._desk.scoped.people
        secret = await self._desk.try_to(lambda: people.renew_password(account.name))
        if secret is not None:
            await self._draw()
            show_secret(strings.PASSWORD_OF.format(account=account.name), secret)

    async def _ask_remove(self, account: Account) -> None:
        await ask_first(strings.REMOVE_USER.format(account=account.name), partial(self._remove, account.name))

    async def _remove(self, name: str) -> None:
        def remove() -> bool:
            self._desk.scoped.people.remove(name)
            return True

        if await self._desk.try_to(remove):
            await self._draw()
