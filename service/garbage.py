"""Short pauses for the garbage collector in processes that hold a lot."""

from __future__ import annotations

import gc

__all__ = ["leave_out_what_is_loaded"]


def leave_out_what_is_loaded() -> None:
    """Have the collector never again look at what this process holds now; to be called once it is ready to work.

    Libraries are hundreds of thousands of objects that stay. Every full collection walks them all, which stops all
    threads for a quarter of a second; without them it takes a fraction of that.
    """
    gc.collect()
    gc.freeze()
