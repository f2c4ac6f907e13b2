"""The checkpoint that comes with the package: what runs unless the settings name another one."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped_checkpoint"]


def shipped_checkpoint() -> Path:
    """Its path; how it was made stands in its model card and in docs/experiments.md."""
    return Path(__file__).with_name("shipped.safetensors")
