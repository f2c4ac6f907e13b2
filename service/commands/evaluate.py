"""Judge a checkpoint: ``tapetum evaluate CHECKPOINT DATASET ROOT``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.console import configure_logging, fail, print_json, progress_line
from service.memory import keep_large_blocks
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from models.checkpoint import Checkpoint
    from models.data import ReidDataset, Sample
    from models.evaluation import TrialOptions, TrialResult
    from models.evaluation.calibration import CurveCheck

__all__ = ["register"]

Progress = Callable[[str, float | None], None]


def register(app: typer.Typer) -> None:
    app.command()(evaluate)


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A re-identification checkpoint.")],
    dataset: Annotated[str, typer.Argument(help="sysu-mm01, regdb, llcm, hitsz-vcm or synthetic.")],
    root: Annotated[Path, typer.Argument(help="The data set's folder.")],
    mode: Annotated[str | None, typer.Option(help="Gallery cameras of SYSU-MM01: all (usual) or indoor.")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Gallery pictures a person and camera, 1 or 10.")] = None,
    draw: Annotated[str | None, typer.Option(help="SYSU-MM01's galleries: agw (usual) or official.")] = None,
    permutation: Annotated[
        Path | None, typer.Option(help="For the official draw; else ROOT/exp/rand_perm_cam.mat.")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="infrared-to-visible (usual) or visible-to-infrared, where both are judged.")
    ] = None,
    as_coded: Annotated[
        bool, typer.Option("--as-coded", help="LLCM visible-to-infrared as its released code swaps it.")
    ] = False,
    trial: Annotated[int | None, typer.Option(min=1, max=10, help="RegDB's split; the checkpoint's own.")] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="k-reciprocal re-ranking; never compare with none.")] = False,
    flip: Annotated[bool, typer.Option("--flip", help="Average each vector with its mirror image's.")] = False,
    embedding: Annotated[
        str | None, typer.Option(help="CMFT's vector: fused, stream or both; else as the checkpoint serves it.")
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Pictures of a tracklet; else as many as the checkpoint was trained with."),
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="NPZ file to take the vectors from, or to keep them in if it is not there.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for curves, sheets of what was found, JSON.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; else a GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Judge a checkpoint on the test part of a data set, by that data set's own protocol."""
    from models.checkpoint import CheckpointError, load_checkpoint
    from models.data import DataError, list_datasets, open_dataset
    from models.evaluation import RerankOptions, RetrievalResult, TrialOptions, judge_trials, trials
    from models.evaluation.feature_file import FeatureFileError

    settings = load_settings()
    configure_logging(settings)
    if dataset not in list_datasets():
        fail(f"no data set called {dataset!r}; there are {', '.join(list_datasets())}")
    for target in (features, report):
        if target is not None and not target.resolve().parent.is_dir():
            fail(f"no folder {target.resolve().parent} to write {target.name} into")
    if report is not None and report.exists() and not report.is_dir():
        fail(f"{report} is a file, expected a folder for the report")
    if draw == "official" and permutation is None:
        permutation = root / "exp" / "rand_perm_cam.mat"
    named = {"mode": mode, "shots": shots, "draw": draw, "permutation": permutation, "direction": direction}
    try:
        options = TrialOptions(**{k: v for k, v in named.items() if v is not None}, as_coded=as_coded)  # type: ignore[arg-type]
        loaded = load_checkpoint(checkpoint)
        if embedding is not None:
            loaded = _served_as(loaded, embedding)
        chosen = _trial(loaded, dataset, trial)
        data = open_dataset(dataset, root, **chosen)
        trials(data.protocol, data.test, options, queries=data.queries)  # what cannot be judged is not embedded either
        keep_large_blocks()
        with progress_line() as progress:
            length = frames or _frames(loaded, data)
            vectors = _vectors(
                loaded, data, root, settings, features, flip, length, batch_size, workers, device, progress
            )
            progress("judging", None)
            again = RerankOptions() if rerank else None
            judged = judge_trials(data.protocol, data.test, vectors, options, queries=data.queries, rerank=again)
            about = {
                "checkpoint": {"file": checkpoint.name, "label": loaded.label, "model_hash": loaded.model_hash},
                "dataset": dataset,
                "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items()},
                **chosen,
                "flip": flip,
                "frames": length,
            }
            files: tuple[Path, ...] = ()
            if report is not None:
                from models.evaluation.report import write_report

                progress("writing the report", None)
                source, checks = _calibration(loaded, data.test, vectors)
                files = write_report(
                    report,
                    title=f"{loaded.label} on {_what(data, options)}{', re-ranked' if rerank else ''}",
                    protocol=data.protocol,
                    samples=data.test,
                    features=vectors,
                    judged=judged,
                    about={**about, "calibration_of": source},
                    rerank=again,
                    calibration=checks,
                )
    except CheckpointError as error:
        fail(str(error), 1)
    except (DataError, FeatureFileError, ValueError) as error:
        fail(str(error))
    mean = RetrievalResult.mean([one.result for one in judged])
    if as_json:
        print_json(
            {
                **about,
                "protocol": data.protocol,
                "rerank": None if again is None else asdict(again),
                "mean": mean.to_dict(),
                "trials": [{"name": one.trial.name, **one.result.to_dict()} for one in judged],
                "report": [str(file) for file in files],
            }
        )
        return
    typer.echo(f"{loaded.label} on {_what(data, options)}{', re-ranked' if rerank else ''}{', flip' if flip else ''}")
    _print_table(judged, mean)
    if report is not None:
        typer.echo(f"report written to {report}")


def _served_as(loaded: Checkpoint, embedding: str) -> Checkpoint:
    """The same weights with another of CMFT's vectors, for which its calibration does not hold."""
    from models.calibration import Calibration

    if "embedding" not in loaded.options:
        fail(f"--embedding: expected a checkpoint of cmft, got one of {loaded.architecture}")
    return replace(loaded, options={**loaded.options, "embedding": embedding}, calibration=Calibration())


def _frames(loaded: Checkpoint, data: ReidDataset) -> int:
    """The network's own; networks of single pictures average over as many of a tracklet as the field takes."""
    if "frames" in loaded.options:
        return int(loaded.options["frames"])
    return 1 if all(len(sample.pictures) == 1 for sample in data.test) else loaded.tracklet_frames


def _trial(loaded: Checkpoint, dataset: str, asked: int | None) -> dict[str, int]:
    """The split of RegDB: the checkpoint's own, because in any other it has trained on half of the people."""
    own = loaded.trained_on.get("options", {}).get("trial") if loaded.trained_on.get("name") == dataset else None
    if own is not None and asked not in (None, own):
        fail(
            f"--trial {asked}: the checkpoint was trained on trial {own}, so it knows people of the others' test parts"
        )
    trial = asked if own is None else int(own)
    return {} if trial is None else {"trial": trial}


def _vectors(
    loaded: Checkpoint,
    data: ReidDataset,
    root: Path,
    settings: Settings,
    file: Path | None,
    flip: bool,
    frames: int,
    batch_size: int,
    workers: int,
    device: str | None,
    progress: Progress,
) -> npt.NDArray[np.float32]:
    """Of all test samples: from the file if it is there, else embedded (and kept in the file)."""
    import torch

    from models.evaluation.feature_file import load_features, origin_of, save_features
    from models.runtime.processor import available_threads
    from models.training.embed import embed_samples

    origin = origin_of(loaded.model_hash, flip, frames, data.test, root)
    if file is not None and file.exists():
        return load_features(file, origin)
    torch.set_num_threads(settings.threads or available_threads())
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = loaded.build().to(chosen)
    except (RuntimeError, AssertionError) as error:  # torch has both for a device that is not there
        fail(f"device {device!r} cannot be used: {str(error).splitlines()[0]}")
    vectors = embed_samples(
        network, data.test, frames=frames, batch_size=batch_size, flip=flip, workers=workers, progress=progress
    )
    if file is not None:
        save_features(file, vectors, origin)
    return vectors


def _calibration(
    loaded: Checkpoint, samples: Sequence[Sample], vectors: npt.NDArray[np.float32]
) -> tuple[str | None, dict[str, CurveCheck]]:
    """The checkpoint's curves checked; where it has none, curves of half of the people checked on the others."""
    import numpy as np

    from models.evaluation.calibration import check_calibration, fit_calibration, split_people

    generator = np.random.default_rng(0)
    identities = np.array([sample.identity for sample in samples])
    cameras = np.array([sample.camera for sample in samples])
    lights = np.array([sample.modality for sample in samples], object)
    if any(loaded.calibration.to_dict().values()):
        everyone = (vectors, identities, cameras, lights.tolist())
        return "the checkpoint", check_calibration(loaded.calibration, *everyone, generator=generator)
    if len(np.unique(identities)) < 4:
        return None, {}
    fitted, checked = (
        (vectors[rows], identities[rows], cameras[rows], lights[rows].tolist()) for rows in split_people(identities)
    )
    curves = fit_calibration(*fitted, generator=generator)
    return "half of the test people, checked on the others", check_calibration(curves, *checked, generator=generator)


def _what(data: ReidDataset, options: TrialOptions) -> str:
    """The setting in the field's words."""
    if data.protocol == "sysu-mm01":
        shots = "single-shot" if options.shots == 1 else f"{options.shots}-shot"
        return f"{data.name}, {options.mode} search, {shots}, {options.draw} draw"
    coded = ", as coded" if options.as_coded else ""
    return f"{data.name}, {options.direction}{coded}"


def _print_table(judged: Sequence[TrialResult], mean: Any) -> None:
    rows = [] if len(judged) == 1 else [(one.trial.name, one.result) for one in judged]
    names = [*(f"R{k}" for k in mean.rank), "mAP", "mINP"]
    typer.echo(f"{'%':<22}" + "".join(f"{name:>8}" for name in names) + f"{'queries':>10}{'skipped':>9}")
    for name, result in (*rows, ("mean" if rows else judged[0].trial.name, mean)):
        shares = (*result.rank.values(), result.map, result.minp)
        typer.echo(
            f"{name:<22}"
            + "".join(f"{100 * share:>8.2f}" for share in shares)
            + f"{result.queries:>10}{result.skipped:>9}"
        )
