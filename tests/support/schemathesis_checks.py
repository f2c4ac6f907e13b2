"""What schemathesis is told beside its configuration: the login of now, and a check of our own."""

from __future__ import annotations

import os
from pathlib import Path

import schemathesis
from schemathesis import GenerationMode


@schemathesis.auth(refresh_interval=None, retry_on=[401])
class Session:
    """The session in a file: changes of accounts end sessions, and the test opens others."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        return Path(os.environ["TAPETUM_TEST_SESSION"]).read_text(encoding="utf-8")

    def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.check
def refused_by_rule_only(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """What the description allows is refused by a rule only that it cannot express."""
    meta = case.meta
    if response.status_code != 422 or meta is None or meta.generation.mode is not GenerationMode.POSITIVE:
        return
    problem = response.json()
    if problem["type"] == "urn:tapetum:problem:invalid":
        # Our own rules are validators that raise ValueError; the others are types, bounds and patterns.
        for error in problem.get("errors", ()):
            assert error["reason"].startswith("Value error"), f"allowed by the description, but refused: {error}"
