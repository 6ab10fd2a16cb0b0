"""Files without names in which a rank keeps what rests on disk: which they are, and how much of them the page cache holds."""

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
LIBC.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
PROT_READ, MAP_SHARED, MAP_FAILED = 1, 1, ctypes.c_void_p(-1).value
PAGE = os.sysconf("SC_PAGESIZE")


def descriptors(pid, folder):
    """(path in /proc, name that the kernel gives) of a process's files in the folder."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{number}"
        try:
            name = os.readlink(path)
        except OSError:
            continue
        if name.startswith(folder + "/"):
            found.append((path, name))
    return found


def goes_past_the_page_cache(path):
    """Whether a descriptor was opened so; not where the file system cannot."""
    with open(path.replace("/fd/", "/fdinfo/"), encoding="ascii") as file:
        flags = next(line for line in file if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_DIRECT != 0


def cached_bytes(path):
    """(bytes in the page cache, bytes) of the file that a descriptor refers to."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        memory = LIBC.mmap(None, size, PROT_READ, MAP_SHARED, descriptor, 0)
        if memory == MAP_FAILED:
            raise OSError(ctypes.get_errno(), f"mmap of {path}")
        pages = ctypes.create_string_buffer((size + PAGE - 1) // PAGE)
        failed = LIBC.mincore(memory, size, pages)
        LIBC.munmap(memory, size)
        if failed:
            raise OSError(ctypes.get_errno(), f"mincore of {path}")
        return PAGE * sum(page & 1 for page in pages.raw), size
    finally:
        os.close(descriptor)
