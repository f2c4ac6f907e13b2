"""Who takes part in a case: its owner, who changes it and who only reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from service.api.schema_cases import CaseChange
from service.cases import Case
from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import answer_of, ask_first, heading, primary, quiet
from service.security.access import Permission

__all__ = ["CasePeople", "told_people"]


def told_people(case: Case) -> str:
    """Everybody in a line, the owner first."""
    return ", ".join(one.account for one in (case.owner, *case.members, *case.readers))


class CasePeople:
    """Of one case; built where it is made. `redraw` is called when somebody came or went."""

    def __init__(self, desk: Desk, case: Case, redraw: Callable[[], Awaitable[None]]) -> None:
        self._desk, self._case, self._redraw = desk, case, redraw
        self._members = [one.account for one in case.members]
        self._readers = [one.account for one in case.readers]
        leads = desk.scoped.cases.leads(case)
        with ui.element("ul").classes("tp-case-people"):
            self._row(case.owner.account, "owner", removable=False)
            for role, names in (("members", self._members), ("readers", self._readers)):
                for name in names:
                    self._row(name, role, removable=leads)
        if leads:
            quiet(strings.ADD_MEMBER, self._form, icon="person_add")

    def _row(self, name: str, role: str, *, removable: bool) -> None:
        with ui.element("li"):
            ui.label(name).classes("tp-strong-text")
            ui.label(strings.CASE_ROLES[role]).classes("tp-quiet")
            if removable:
                ui.element("span").classes("tp-grow")
                button = quiet(strings.REMOVE, partial(self._ask_remove, name))
                button.props["aria-label"] = f"{strings.REMOVE} {name}"

    async def _form(self) -> None:
        """Ask for an account by its name: who may see the list of accounts gets it to choose from."""
        known: list[str] = []
        if self._desk.may(Permission.USERS):
            accounts = await self._desk.try_to(self._desk.scoped.people.list)
            known = [account.name for account in accounts or ()]
        with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-narrow"):
            dialog.props["aria-label"] = strings.ADD_MEMBER
            heading(strings.ADD_MEMBER, level=2)
            ui.label(strings.MEMBERS_TEXT).classes("tp-quiet")
            name = ui.input(strings.AUDIT_ACCOUNT, autocomplete=known)
            name.props("filled dense stack-label maxlength=64 autofocus autocapitalize=none spellcheck=false")
            role = ui.select(strings.CASE_ROLES_GIVEN, label=strings.ROLE, value="members")
            role.props("filled dense stack-label options-dense")
            with ui.element("div").classes("tp-line"):
                primary(strings.ADD_MEMBER, lambda: dialog.submit(True))
                quiet(strings.CANCEL, lambda: dialog.submit(False))
        if await answer_of(dialog):
            await self._add(str(name.value or "").strip().lower(), str(role.value))

    async def _add(self, name: str, role: str) -> None:
        members = [one for one in self._members if one != name]
        readers = [one for one in self._readers if one != name]
        if role == "owner":
            before = self._case.owner.account
            await self._change(owner=name, members=[*members, before], readers=readers)
        else:
            added = {"members": members, "readers": readers}
            await self._change(**{**added, role: [*added[role], name]})

    async def _ask_remove(self, name: str) -> None:
        await ask_first(strings.REMOVE_MEMBER.format(account=name), partial(self._remove, name))

    async def _remove(self, name: str) -> None:
        kept = ([one for one in names if one != name] for names in (self._members, self._readers))
        await self._change(**dict(zip(("members", "readers"), kept, strict=True)))

    async def _change(self, **changes: str | list[str]) -> None:
        case, cases = self._case, self._desk.scoped.cases

        def change() -> Case:
            request = CaseChange.model_validate({"revision": case.revision, **changes})
            return cases.change(case.id, request.revision, **{name: getattr(request, name) for name in changes})

        if await self._desk.try_to(change) is not None:
            await self._redraw()
