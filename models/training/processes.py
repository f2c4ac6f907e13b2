"""One process, or several under torchrun that share each batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from models.training.errors import TrainingError

__all__ = ["Processes", "choose_device", "joined_processes", "of_all_processes"]

_TIMEOUT = timedelta(hours=6)  # the others wait while the first one validates


@dataclass(frozen=True, slots=True)
class Processes:
    """Where this process stands. Only the `first` one writes."""

    rank: int = 0
    world_size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, value: bool, device: torch.device) -> bool:
        """Whether it is true in any process; all must ask together."""
        if self.world_size == 1:
            return value
        flag = torch.tensor(float(value), device=device)
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
        return bool(flag.item())

    def wait(self) -> None:
        if self.world_size > 1:
            distributed.barrier()


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started, NCCL on GPUs and Gloo elsewhere; alone without torchrun."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Processes()
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Processes(rank, world_size)
    finally:
        distributed.destroy_process_group()


def of_all_processes(rows: Tensor) -> Tensor:
    """Rows of every process, by rank; alone, the rows themselves. All ask together, each with as many.

    A loss of all rows has the gradient that one process would give it once `DistributedDataParallel` has taken the mean
    over processes: the own rows carry it as often as there are processes, those of others are constants here.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    world_size = distributed.get_world_size()
    kept = rows.detach().contiguous()
    parts = [torch.empty_like(kept) for _ in range(world_size)]
    distributed.all_gather(parts, kept)
    if rows.requires_grad:
        parts[distributed.get_rank()] = kept + world_size * (rows - kept)
    return torch.cat(parts)


def choose_device(name: str) -> torch.device:
    """``auto`` (a GPU if there is one), ``cpu`` or ``cuda``; under torchrun each process its own GPU."""
    if name not in ("auto", "cpu", "cuda"):
        raise TrainingError(f"device: expected auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device: expected cuda to be there, got none; use cpu, or install torch for this GPU")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
