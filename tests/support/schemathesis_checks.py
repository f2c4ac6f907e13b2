"""A check of schemathesis: what the API's description allows is refused by a rule only that it cannot express."""

from __future__ import annotations

import schemathesis
from schemathesis import GenerationMode


@schemathesis.check
def refused_by_rule_only(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    meta = case.meta
    if response.status_code != 422 or meta is None or meta.generation.mode is not GenerationMode.POSITIVE:
        return
    problem = response.json()
    if problem["type"] == "urn:tapetum:problem:invalid":
        # Our own rules are validators that raise ValueError; the others are types, bounds and patterns.
        for error in problem.get("errors", ()):
            assert error["reason"].startswith("Value error"), f"allowed by the description, but refused: {error}"
