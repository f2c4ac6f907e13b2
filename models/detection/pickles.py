"""Reading other people's pickled checkpoints without running anything in them.

A ``.pt`` file is a zip with a pickle that names Python callables and the raw bytes of every tensor.
Here tensors are rebuilt by our own code; every other class or function the pickle names becomes an
inert `Record` that only remembers what was given to it. Nothing is imported by name.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

__all__ = ["CheckpointError", "Record", "read_checkpoint"]

_MAX_FILE_BYTES = 2 << 30
_MAX_PICKLE_BYTES = 16 << 20
_MAX_DIMENSIONS = 8

_STORAGES = {
    ("torch", f"{name}Storage"): dtype
    for name, dtype in {
        "Float": torch.float32,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Double": torch.float64,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or is not of a network we know; the message says why."""


class Record:
    """What stands for any object of a class that the pickle names.

    Attributes:
        qualified_name: ``module.name`` as the pickle says it.
        arguments: what its constructor was given.
        state: what it was to be restored from.
        items: what was appended to it or set in it.
    """

    qualified_name = ""
    arguments: tuple[Any, ...]
    state: Any
    items: list[Any]

    def __new__(cls, *arguments: Any) -> Record:
        record = super().__new__(cls)
        record.arguments = arguments
        record.state = None
        record.items = []
        return record

    def __init__(self, *_arguments: Any) -> None:
        """Everything was done in ``__new__``, which a pickle may call alone."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, value: Any) -> None:
        self.items.append(value)

    def extend(self, values: Any) -> None:
        self.items.extend(values)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def __repr__(self) -> str:
        return f"Record({self.qualified_name})"


class _Inert:
    """A callable that a pickle may use and can not change."""

    __slots__ = ()

    def __setstate__(self, _state: Any) -> NoReturn:
        raise pickle.UnpicklingError("a function cannot have a state")


class _RebuildTensor(_Inert):
    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_rest: Any) -> Tensor:
        if not isinstance(storage, Tensor) or not _sizes(size) or not _sizes(stride) or len(size) != len(stride):
            raise pickle.UnpicklingError("a tensor without a proper storage, size or stride")
        count = 1
        for axis in size:
            count *= axis
        if type(offset) is not int or offset < 0 or count > _MAX_FILE_BYTES:
            raise pickle.UnpicklingError(f"a tensor of size {size} at {offset}")
        try:
            return torch.as_strided(storage, size, stride, offset)
        except RuntimeError as error:
            raise pickle.UnpicklingError(f"a tensor lies outside its storage: {error}") from None


class _RebuildParameter(_Inert):
    def __call__(self, data: Any, *_rest: Any) -> Tensor:
        if not isinstance(data, Tensor):
            raise pickle.UnpicklingError("a parameter that is not a tensor")
        return data


class _StorageType(_Inert):
    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def _sizes(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= _MAX_DIMENSIONS
        and all(type(axis) is int and 0 <= axis < 1 << 40 for axis in value)
    )


class _TensorUnpickler(pickle.Unpickler):
    """Resolves tensors and ordered dictionaries, by exact name; everything else to a `Record`."""

    def __init__(self, data: bytes, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(data))
        self._archive = archive
        self._prefix = prefix
        self._storages: dict[str, Tensor] = {}
        self._bytes_left = _MAX_FILE_BYTES  # members of a zip may overlap, so the file's size is no limit
        self._classes: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
            ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
            ("collections", "OrderedDict"): OrderedDict,
            **{name: _StorageType(dtype) for name, dtype in _STORAGES.items()},
        }

    def find_class(self, module_name: str, global_name: str) -> Any:
        key = (module_name, global_name)
        if key not in self._classes:
            self._classes[key] = type("Record", (Record,), {"qualified_name": f"{module_name}.{global_name}"})
        return self._classes[key]

    def persistent_load(self, pid: Any) -> Tensor:
        match pid:
            case ("storage", _StorageType() as kind, str() as key, str(), int() as count):
                if key not in self._storages:
                    self._storages[key] = self._load_storage(key, kind.dtype, count)
                storage = self._storages[key]
                if storage.dtype != kind.dtype:
                    raise pickle.UnpicklingError(f"storage {key} has two types")
                return storage
        raise pickle.UnpicklingError("a reference that is not a tensor storage")

    def _load_storage(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        data = _read_stored(self._archive, f"{self._prefix}data/{key}", self._bytes_left)
        self._bytes_left -= len(data)
        if count < 0 or len(data) != count * dtype.itemsize:
            raise pickle.UnpicklingError(f"storage {key}: expected {count} of {dtype}, got {len(data)} bytes")
        return torch.frombuffer(bytearray(data), dtype=dtype) if count else torch.empty(0, dtype=dtype)


def read_checkpoint(path: Path) -> Any:
    """What a ``.pt`` file holds: built-in containers, tensors, and `Record`s for everything else.

    Raises:
        CheckpointError: not such a file, damaged, or made to do harm.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: expected at most {_MAX_FILE_BYTES} bytes")
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise CheckpointError(f"{path}: expected one data.pkl as torch.save writes it, found {len(pickles)}")
            data = _read_stored(archive, pickles[0], _MAX_PICKLE_BYTES)
            _check_opcodes(data)
            return _TensorUnpickler(data, archive, pickles[0].removesuffix("data.pkl")).load()
    except CheckpointError:
        raise
    except zipfile.BadZipFile:
        raise CheckpointError(f"{path}: not a zip file as torch.save has written since version 1.6") from None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # a hostile stream can raise anything while it is taken apart
        raise CheckpointError(f"{path}: not a readable checkpoint ({error})") from None


def _read_stored(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> bytes:
    """A member that is stored, as torch.save does: what is compressed could grow without end."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise pickle.UnpicklingError(f"{name} is missing") from None
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit_bytes:
        raise pickle.UnpicklingError(f"{name}: expected at most {limit_bytes} uncompressed bytes")
    return archive.read(info)


def _check_opcodes(data: bytes) -> None:
    """Refuse what would take memory out of all proportion before the unpickler sees it."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in {"PUT", "BINPUT", "LONG_BINPUT"} and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"memo index {argument} in a pickle of {len(data)} bytes")
        if opcode.name in {"EXT1", "EXT2", "EXT4"}:
            raise pickle.UnpicklingError("extension codes are not used by torch.save")
