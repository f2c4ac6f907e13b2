"""Several processes share each batch, and end with the same weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.training import TrainingError, load_recipe
from models.training.objectives.base import Rows
from models.training.objectives.cmft import CmftObjective
from models.training.processes import choose_device
from tests.support.training import one_thread, small_dataset

__all__ = ["one_thread"]

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import os, sys, torch
from pathlib import Path
from models.training import train
from models.training.stepping import Stepper
from tests.support.training import small_dataset, small_recipe

torch.set_num_threads(1)
out, rank = Path(sys.argv[1]), os.environ["RANK"]
seen, step = [], Stepper.step

def watched(self, batch, weights):
    seen.append(batch)
    result = step(self, batch, weights)
    weights = dict(self._network.named_parameters())
    torch.save({"weights": weights, "classes": [b.classes for b in seen]}, out / f"{rank}.pt")
    return result

Stepper.step = watched
train(small_recipe("afen", "training.epochs=1"), small_dataset(out, takes=2), out / "run", device="cpu")
"""

CONTRAST = """
import sys, torch
from pathlib import Path
from torch.nn.parallel import DistributedDataParallel
from models.training.objectives.base import Rows
from models.training.objectives.cmft import CmftObjective
from models.training.processes import joined_processes
from tests.models.test_training_processes import contrast_rows

out = Path(sys.argv[1])
with joined_processes(torch.device("cpu")) as processes:
    pictures, classes, layer = contrast_rows()
    mine = torch.arange(len(classes)).reshape(2, processes.world_size, -1)[:, processes.rank].reshape(-1)
    network = DistributedDataParallel(layer)
    rows = network(pictures[mine])
    loss = CmftObjective().contrast(Rows(rows, rows, rows, classes[mine]), 0.1, 0.3)
    loss.backward()
    torch.save((loss.detach(), layer.weight.grad), out / f"{processes.rank}.pt")
"""


def contrast_rows() -> tuple[torch.Tensor, torch.Tensor, torch.nn.Linear]:
    """Pictures by day, then as many at night, of four people; and a network."""
    torch.manual_seed(3)
    return torch.randn(16, 6), torch.arange(4).repeat_interleave(2).repeat(2), torch.nn.Linear(6, 5, bias=False)


def in_two_processes(script: str, folder: Path) -> None:
    (folder / "worker.py").write_text(script)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(folder / "worker.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command, str(folder)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_contrast_of_two_processes_is_that_of_one_with_all_rows(tmp_path: Path) -> None:
    in_two_processes(CONTRAST, tmp_path)
    pictures, classes, layer = contrast_rows()
    rows = layer(pictures)
    loss = CmftObjective().contrast(Rows(rows, rows, rows, classes), 0.1, 0.3)
    loss.backward()
    assert layer.weight.grad is not None
    for rank in (0, 1):
        found, gradient = torch.load(tmp_path / f"{rank}.pt")
        assert found.item() == pytest.approx(loss.item(), rel=1e-5)
        torch.testing.assert_close(gradient, layer.weight.grad)


def test_two_processes_halve_the_batch_and_agree_on_the_weights(tmp_path: Path) -> None:
    small_dataset(tmp_path, takes=2)
    in_two_processes(WORKER, tmp_path)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert one["weights"].keys() == other["weights"].keys()
    for name, parameter in one["weights"].items():
        assert torch.equal(parameter, other["weights"][name]), name
    for halves in zip(one["classes"], other["classes"], strict=True):
        assert [len(half) for half in halves] == [4, 4]
        assert sorted(torch.cat(halves).unique().tolist()) == [0, 1, 2, 3]
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_unknown_device_is_refused() -> None:
    with pytest.raises(TrainingError, match="device: expected auto, cpu or cuda, got 'tpu'"):
        choose_device("tpu")


def test_every_process_needs_two_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.training.processes import Processes
    from models.training.trainer import Trainer

    with pytest.raises(TrainingError, match="at least two for each of 8 processes, got 8"):
        Trainer(load_recipe("afen_llcm"), None, None, {}, Processes(0, 8), choose_device("cpu"), 0, None)
