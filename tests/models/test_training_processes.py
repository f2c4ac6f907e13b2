"""Several processes share each batch, and end with the same weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.training import TrainingError, load_recipe
from models.training.processes import choose_device
from tests.support.training import one_thread

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


def test_two_processes_halve_the_batch_and_agree_on_the_weights(tmp_path: Path) -> None:
    import torch

    from tests.support.training import small_dataset

    small_dataset(tmp_path, takes=2)
    (tmp_path / "worker.py").write_text(WORKER)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(tmp_path / "worker.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
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
