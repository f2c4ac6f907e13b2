"""Compiled networks behind one protocol, whichever library runs them."""

from __future__ import annotations

from models.runtime.engine import Engine, EngineDescription, EngineError, TensorSpec
from models.runtime.load import choose_backend, load_engine

__all__ = ["Engine", "EngineDescription", "EngineError", "TensorSpec", "choose_backend", "load_engine"]
