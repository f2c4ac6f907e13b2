"""What commands say on a terminal: progress, errors, JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog
import typer

from service.settings import Settings

__all__ = ["configure_logging", "fail", "print_json", "progress_line"]


def configure_logging(settings: Settings) -> None:
    """Structured logs on stderr: readable on a terminal, JSON where configured."""
    level = getattr(logging, settings.log_level.upper())
    logging.basicConfig(level=max(level, logging.WARNING), format="%(message)s", stream=sys.stderr)
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def fail(message: str, code: int = 2) -> NoReturn:
    """Say what is wrong in one sentence and end."""
    typer.echo(f"tapetum: {message}", err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


@contextmanager
def progress_line() -> Iterator[Callable[[str, float | None], None]]:
    """A callback ``(what, share done or None)`` that keeps one line up to date on a terminal.

    Elsewhere every new step is a line of its own, so that a log stays readable.
    """
    terminal = sys.stderr.isatty()
    last = ""

    def show(what: str, share: float | None) -> None:
        nonlocal last
        if terminal:
            bar = "" if share is None else f" {'█' * round(20 * share):<20} {share:4.0%}"
            sys.stderr.write(f"\r\x1b[K{what}{bar}")
            sys.stderr.flush()
        elif what != last:
            sys.stderr.write(f"{what}\n")
        last = what

    try:
        yield show
    finally:
        if terminal and last:
            sys.stderr.write("\n")
