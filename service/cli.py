"""The command ``tapetum``. Each command imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

import os
import sys

# Ultralytics phones home and installs packages by itself unless told otherwise before its import.
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
# The small matrices of association gain nothing from the threads of BLAS and OpenMP, which spin beside the engines;
# engines are given their threads by name.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from service.commands import (
    admin,
    audit,
    backup,
    bench,
    data,
    evaluate,
    exports,
    gallery,
    reembed,
    rekey,
    serve,
    synth,
    train,
    users,
    video,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="tapetum",
    help="Finds a person across day and night cameras, live.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
serve.register(app)
video.register(app)
admin.register(app)
train.register(app)
evaluate.register(app)
users.register(app)
audit.register(app)
gallery.register(app)
rekey.register()
reembed.register()
backup.register(app)
exports.register(app)
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.add_typer(synth.app, name="synth")


def main() -> None:
    """Run the command line; a mistake a user can make is one sentence and exit code 2, not a trace."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        typer.echo(f"tapetum: {error}", err=True)
        sys.exit(code)


def _exit_code(error: Exception) -> int | None:
    """2 for what the user can put right on the command line or in the configuration, 1 for the state of the world."""
    from service.security.accounts import AccountError
    from service.security.tokens import TokenError
    from service.settings import SettingsError

    if isinstance(error, (AccountError, SettingsError, TokenError, FileNotFoundError, PermissionError)):
        return 2
    from redis.exceptions import RedisError

    from models.checkpoint import CheckpointError
    from models.runtime import EngineError
    from models.weights import WeightsError
    from pipeline.spool import SpoolError
    from service.audit import AuditUnavailable
    from service.backup import BackupError
    from service.gallery import GalleryUnavailable, MediaError
    from service.redis_server import RedisServerError
    from service.schema_version import SchemaError
    from service.sealing import KeyMismatchError
    from service.worker_process import WorkerNameTakenError

    known = (AuditUnavailable, BackupError, CheckpointError, EngineError, GalleryUnavailable, KeyMismatchError)
    more = (MediaError, RedisError, RedisServerError, SchemaError, SpoolError, WeightsError, WorkerNameTakenError)
    return 1 if isinstance(error, (*known, *more)) else None


if __name__ == "__main__":
    main()
