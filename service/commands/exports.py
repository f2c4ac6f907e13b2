"""Exports of cases from the console: check one, anywhere, and tell the key of this installation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.console import fail, print_json
from service.settings import load_settings

if TYPE_CHECKING:
    from service.cases.signing import SigningKey

__all__ = ["register"]

UNKNOWN_KEY = 3
exports_app = typer.Typer(help="Signed exports of cases.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(exports_app, name="exports")


@exports_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="The ZIP.")],
    key: Annotated[
        list[str] | None, typer.Option(help="Fingerprint of a key you know, or a file with it in PEM.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Check that an export is as it was signed, and by whom; needs no service.

    Names what is not, and ends with 1; with 3 when all is whole but the key is not known. Known are those given, or
    else this installation's own.
    """
    from service.cases.signing import SigningKeyError
    from service.cases.verify import verify_export

    try:
        known = [_fingerprint(one) for one in key] if key else _own_key()
        found = verify_export(file, known)
    except SigningKeyError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}")
    if as_json:
        print_json(asdict(found))
    else:
        for line in found.findings:
            typer.echo(line)
    if found.findings:
        fail(f"{file}: " + ("not as it was signed" if found.fingerprint else "not an export, or no longer one"), 1)
    if not as_json:
        typer.echo(f"{found.files} files as they were signed, with the key {found.fingerprint}")
    if not found.trusted:
        fail(f"the key {found.fingerprint} is not known here: compare it with what the issuer told you", UNKNOWN_KEY)


@exports_app.command("key")
def tell_key() -> None:
    """Print the fingerprint of the key that this installation signs with, for those who check its exports."""
    from service.cases.signing import KEY_FILE, SigningKeyError

    path = load_settings().data_dir / KEY_FILE
    try:
        typer.echo(_signing_key().public.fingerprint)
    except FileNotFoundError:
        fail(f"there is no key at {path} yet: the first export makes it", 1)
    except SigningKeyError as error:
        fail(str(error), 1)
    except OSError as error:
        fail(f"{path}: {error.strerror}", 1)


def _signing_key() -> SigningKey:
    from service.cases.signing import KEY_FILE, SigningKey

    return SigningKey.from_file(load_settings().data_dir / KEY_FILE)


def _own_key() -> list[str]:
    """The fingerprint of this machine's key, if it has one that can be read."""
    try:
        return [_signing_key().public.fingerprint]
    except (OSError, ValueError):
        return []


def _fingerprint(given: str) -> str:
    from service.cases.signing import VerifyingKey

    path = Path(given)
    return VerifyingKey.from_pem(path.read_bytes()).fingerprint if path.is_file() else given.replace(":", "")
