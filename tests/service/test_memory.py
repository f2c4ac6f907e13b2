"""The heap of a process with many threads, as glibc itself describes it."""

import platform
import re
import subprocess
import sys

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heaps")

PROGRAM = """
import ctypes, sys, threading
from service.memory import keep_heap_level

if sys.argv[1] == "level":
    keep_heap_level()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
everybody = threading.Barrier(8)

def work():
    everybody.wait()
    for _ in range(1000):
        libc.free(ctypes.c_void_p(libc.malloc(2000)))
    everybody.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
"""


def heaps(how: str) -> int:
    told = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=60, check=True)
    return len(re.findall("<heap nr", told.stdout))


BATCHES = """
import ctypes, resource, sys
from service.memory import keep_large_blocks

if sys.argv[1] == "keep":
    keep_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes, libc.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def batch():
    blocks = [libc.malloc(40 << 20) for _ in range(3)]
    for block in blocks:
        libc.memset(block, 1, 40 << 20)
    for block in blocks:
        libc.free(block)

batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    told = subprocess.run([sys.executable, "-c", BATCHES, how], capture_output=True, text=True, timeout=60, check=True)
    return int(told.stdout)


@glibc
def test_what_a_batch_took_is_there_for_the_next() -> None:
    assert page_faults("as it comes") > 300
    assert page_faults("keep") < 30


@glibc
def test_threads_share_two_heaps() -> None:
    assert heaps("as it comes") > 2
    assert heaps("level") == 2
