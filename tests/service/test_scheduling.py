"""What the kernel itself says about a process that somebody waits for."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, struct, threading
from service.scheduling import wake_promptly

def slice_ns(thread):
    told = ctypes.create_string_buffer(48)
    number = {"x86_64": 315, "aarch64": 275}[os.uname().machine]
    assert ctypes.CDLL(None).syscall(number, thread, told, 48, 0) == 0
    return struct.unpack("=IIQiIQQQ", told.raw)[5]

os.nice(3)
print(slice_ns(0), wake_promptly(), slice_ns(0), os.nice(0))
later = threading.Thread(target=lambda: print(slice_ns(0)))
later.start()
later.join()
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="Linux' own system call"
)


def test_the_kernel_takes_short_slices_for_this_thread_and_later_ones_and_niceness_stays() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    before, taken, after, nice, later = told.stdout.split()
    assert (taken, int(nice)) == ("True", min(19, os.nice(0) + 3))
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    assert (int(after), int(later)) == ((100_000, 100_000) if release >= (6, 12) else (int(before), int(before)))
