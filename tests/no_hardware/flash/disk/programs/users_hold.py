import ctypes
import mmap
import os
import sys
import threading
import time

how, node = sys.argv[1:]
libc = ctypes.CDLL(None)


def hold():
    if how == "unshared":
        assert libc.unshare(0x400) == 0  # CLONE_FILES
    opened = os.open(node, os.O_RDWR)
    if how == "mapped":
        global memory  # noqa: PLW0603 - the mapping outlives this function
        memory = libc.mmap  # Python's own would keep a descriptor
        memory.restype = ctypes.c_void_p
        memory.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
        assert memory(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, opened, 0) not in (None, 2**64 - 1)
        os.close(opened)
    print("held", flush=True)
    while True:
        time.sleep(0.1)


threading.Thread(target=hold).start()
if how == "outlives":
    libc.pthread_exit(None)
while True:
    time.sleep(0.1)
