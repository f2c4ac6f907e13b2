"""Commands of `tapetum` run in this process."""

from __future__ import annotations

import structlog
from click.testing import Result
from typer.testing import CliRunner

from service.cli import app


def run_command(*arguments: str, code: int = 0) -> Result:
    """Run a command that ends with this code; the logs go where they went before."""
    logging = structlog.get_config()
    try:
        done = CliRunner().invoke(app, [*arguments])
    finally:
        structlog.configure(**logging)
    # What `service.cli.main` makes a sentence of is still an exception here, with code 1.
    assert bool(done.exit_code) == bool(code), (done.output, done.exception)
    return done
