"""From released weights, or any detector that Ultralytics loads, to the ONNX file that we run."""

from __future__ import annotations

import ast
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.version_converter
import onnxruntime
import structlog

from models.detection.calibration import shipped_ranges
from models.detection.checkpoint import CheckpointError, Released, load_yolov7
from models.detection.export import EXPORTER_VERSION, INPUT, export_onnx
from models.detection.graph import OPSET, GraphWriter
from models.detection.suppression import MAX_PERSONS, OUTPUT, Suppression, persons_of_anchors, persons_of_rows
from models.runtime.engine import EngineError
from models.runtime.load import choose_backend
from models.runtime.processor import has_int8_dot
from models.weights import Progress, WeightsError, cache_lock, fetch_weights, sha256_of

__all__ = ["convert_detector"]

log = structlog.get_logger(__name__)

_YOLOV7 = ("yolov7", "yolov7-tiny")
_PERSON = "person"
_RAW = "all_classes"
_TRIAL_PX = 320


def convert_detector(
    name: str,
    cache_dir: Path,
    *,
    source: str | Path | None,
    progress: Progress | None,
    precision: str,
    backend: str,
) -> Path:
    """See `models.weights.detector_onnx`."""
    say = progress or (lambda _message, _fraction: None)
    if name in _YOLOV7:
        weights = fetch_weights(name, cache_dir, source=source, progress=progress)
    else:
        weights = Path(source) if source is not None else Path(name)
        if not weights.is_file():
            raise WeightsError(
                f"{name}: expected {', '.join(_YOLOV7)} or a detector's file; there is no file {weights}"
            )
    digest = sha256_of(weights)
    eight_bit = _eight_bit(weights.name, digest, precision, backend)
    stem = name if name in _YOLOV7 else weights.stem
    file_name = f"{stem}-{digest[:12]}-e{EXPORTER_VERSION}-{'int8' if eight_bit else 'fp32'}.onnx"
    target = cache_dir / "onnx" / file_name
    if target.is_file():
        return target
    with cache_lock(target.with_suffix(".lock")):
        if not target.is_file():
            say(f"{stem}: converting to ONNX", None)
            _convert(weights, target, digest, eight_bit=eight_bit)
            say(f"{stem}: converted", 1.0)
            log.info("detector.converted", name=stem, path=str(target))
    return target


def _eight_bit(name: str, digest: str, precision: str, backend: str) -> bool:
    """Whether to convert to eight bits; ``auto`` does where it was measured to be quicker and as good."""
    if precision not in ("auto", "int8"):
        return False
    table = shipped_ranges(digest) is not None
    if precision == "int8":
        if not table:
            raise WeightsError(f"{name}: no table of ranges is shipped for these weights, so int8 is not to be had")
        return True
    try:
        runs_on = choose_backend(backend)[0]
    except EngineError:  # torch, or a name that load_engine will refuse with its own words
        return False
    return table and runs_on == "openvino" and has_int8_dot()


def _convert(weights: Path, target: Path, digest: str, *, eight_bit: bool) -> None:
    if weights.suffix == ".onnx":
        _keep_persons(weights, target)
        return
    released = _yolov7(weights)
    if released is None:
        _convert_with_ultralytics(weights, target)
        return
    if _PERSON not in released.class_names:
        raise WeightsError(f"{weights}: none of its classes is named {_PERSON!r}")
    export_onnx(
        released.network,
        target,
        person_class=released.class_names.index(_PERSON),
        ranges=shipped_ranges(digest) if eight_bit else None,
        source=f"{weights.name} sha256 {digest}",
    )


def _yolov7(weights: Path) -> Released | None:
    """The network where the file holds a YOLOv7; None where it is for Ultralytics to read."""
    try:
        return load_yolov7(weights)
    except CheckpointError as error:
        log.info("detector.not_yolov7", path=str(weights), reason=str(error))
        return None


def _convert_with_ultralytics(weights: Path, target: Path) -> None:
    """Ultralytics unpickles the file with all it names: only for files that one trusts like a program."""
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    log.warning("detector.trusted_pickle", path=str(weights), note="read by Ultralytics, which runs code in it")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy = Path(scratch) / weights.name
        copy.symlink_to(weights.resolve())
        try:
            from ultralytics import YOLO

            exported = YOLO(str(copy)).export(format="onnx", dynamic=True, simplify=False, opset=OPSET, verbose=False)
        except Exception as error:  # Ultralytics raises anything
            raise WeightsError(f"{weights}: Ultralytics cannot export it: {error}") from error
        _keep_persons(Path(exported), target)


def _keep_persons(exported: Path, target: Path) -> None:
    """Put behind a detector's output what makes it ``[B, N, 6]`` of persons only."""
    try:
        model = onnx.version_converter.convert_version(onnx.load(exported), OPSET)
    except Exception as error:  # protobuf's decoder and the converter raise what they like
        raise WeightsError(f"{exported} is not an ONNX file that can be read: {error}") from None
    properties = {entry.key: entry.value for entry in model.metadata_props}
    names = _class_names(properties.get("names", ""), exported)
    if names == {0: _PERSON} and model.graph.output[0].name == OUTPUT and _output_shape(model, exported)[2:] == (6,):
        _keep(model, target)
        return
    tail = _tail(model, names, exported)
    _rename_output(model, _RAW)
    model.ir_version = tail.ir_version
    tail = onnx.compose.add_prefix(tail, "persons/", rename_inputs=False, rename_outputs=False)
    joined = onnx.compose.merge_models(model, tail, io_map=[(_RAW, _RAW)])
    del joined.metadata_props[:]
    properties |= {"names": str({0: _PERSON}), "end2end": "True", "task": "detect"}
    onnx.helper.set_model_props(joined, properties)
    try:
        onnx.checker.check_model(joined)
    except onnx.checker.ValidationError as error:
        raise WeightsError(f"{exported}: {error}") from None
    _keep(joined, target)


def _keep(model: Any, target: Path) -> None:
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    onnx.save(model, scratch)
    scratch.replace(target)


def _tail(model: Any, names: dict[int, str], exported: Path) -> Any:
    inputs = model.graph.input
    person = next((number for number, name in names.items() if name == _PERSON), None)
    if person is None:
        raise WeightsError(f"{exported}: its metadata names no class {_PERSON!r}")
    if len(inputs) != 1 or inputs[0].name != INPUT:
        raise WeightsError(f"{exported}: expected one input {INPUT!r}, got {[i.name for i in inputs]}")
    axes = _output_shape(model, exported)
    writer = GraphWriter()
    if len(axes) == 3 and axes[2] == 6:
        persons_of_rows(writer, _RAW, person)
        return writer.model({_RAW: ("batch", "rows", 6)}, {OUTPUT: ("batch", "rows", 6)}, {})
    if len(axes) == 3 and axes[1] == 4 + len(names):
        persons_of_anchors(writer, _RAW, person, Suppression())
        return writer.model({_RAW: ("batch", axes[1], "anchors")}, {OUTPUT: ("batch", MAX_PERSONS, 6)}, {})
    raise WeightsError(f"{exported}: expected one output [B, N, 6] or [B, {4 + len(names)}, A], got {axes}")


def _output_shape(model: Any, exported: Path) -> tuple[int, ...]:
    """Of one picture; by running it, since exporters do not write the shapes of dynamic outputs."""
    axes = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    if len(axes) != 4:
        raise WeightsError(f"{exported}: expected an input [B, 3, H, W], got {axes}")
    sizes = [axis or usual for axis, usual in zip(axes, (1, 3, _TRIAL_PX, _TRIAL_PX), strict=True)]
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        results = session.run(None, {INPUT: np.zeros(sizes, np.float32)})
    except Exception as error:  # its exceptions have no common base but Exception
        raise WeightsError(f"{exported}: does not run: {error}") from None
    if len(results) != 1:
        raise WeightsError(f"{exported}: expected one output, got {len(results)}")
    return tuple(results[0].shape)


def _class_names(text: str, exported: Path) -> dict[int, str]:
    try:
        table = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        table = None
    if not isinstance(table, dict) or not all(isinstance(key, int) for key in table):
        raise WeightsError(f"{exported}: expected metadata 'names' as Ultralytics writes them")
    return {number: str(name) for number, name in table.items()}


def _rename_output(model: Any, name: str) -> None:
    old = model.graph.output[0].name
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, used in enumerate(names):
                if used == old:
                    names[index] = name
    model.graph.output[0].name = name
