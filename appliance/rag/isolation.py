"""Holding the parser in: what the kernel is asked before the first byte is read.

Three walls keep sockets away: no further file descriptor (`RLIMIT_NOFILE` 0, which needs no
privilege and works everywhere), a seccomp filter without sockets, files, programs and other
processes, and an empty network namespace. The first holds or nothing is read; the others hold
where the kernel permits them, and the answer of the parser names those that do. Memory, run
time and output are bounded beside.
"""

import ctypes
import platform
import resource
import signal
import struct

MEMORY_BYTES = 2 << 30  # address space
CPU_SECONDS = 60
OUTPUT_BYTES = 256 << 20  # when the answer goes to a file

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SECCOMP_MODE_FILTER = 2
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # EPERM; kill the process

# Numbers of system calls, from the tables of the kernel: AUDIT_ARCH, and what is refused.
_X86_64 = (
    0xC000003E,
    {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49,
        "listen": 50, "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59,
        "kill": 62, "open": 2, "truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84,
        "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90, "chown": 92,
        "ptrace": 101, "mknod": 133, "chroot": 161, "mount": 165, "tkill": 200, "tgkill": 234,
        "add_key": 248, "keyctl": 250, "openat": 257, "mkdirat": 258, "unlinkat": 263,
        "renameat": 264, "linkat": 265, "symlinkat": 266, "unshare": 272, "accept4": 288,
        "perf_event_open": 298, "sendmmsg": 307, "setns": 308, "process_vm_readv": 310,
        "process_vm_writev": 311, "renameat2": 316, "memfd_create": 319, "bpf": 321,
        "execveat": 322, "userfaultfd": 323, "io_uring_setup": 425, "pidfd_open": 434,
        "clone3": 435, "openat2": 437,
    },
)  # fmt: skip
_AARCH64 = (
    0xC00000B7,
    {
        "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37,
        "renameat": 38, "mount": 40, "truncate": 45, "chroot": 51, "fchmodat": 53,
        "fchownat": 54, "openat": 56, "unshare": 97, "ptrace": 117, "kill": 129, "tkill": 130,
        "tgkill": 131, "socket": 198, "socketpair": 199, "bind": 200, "listen": 201,
        "accept": 202, "connect": 203, "sendto": 206, "sendmsg": 211, "add_key": 217,
        "keyctl": 219, "clone": 220, "execve": 221, "perf_event_open": 241, "accept4": 242,
        "setns": 268, "sendmmsg": 269, "process_vm_readv": 270, "process_vm_writev": 271,
        "renameat2": 276, "memfd_create": 279, "bpf": 280, "execveat": 281,
        "userfaultfd": 282, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
        "openat2": 437,
    },
)  # fmt: skip
_TABLES = {"x86_64": _X86_64, "aarch64": _AARCH64}
_X32_BIT = 0x40000000  # numbers of another table, on x86-64 only


def close_network() -> list[str]:
    """Leave the network and tie this process to its parent. Before the document is read."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return ["netns"]
    return []


def limit() -> list[str]:
    """Bound this process for good: descriptors, memory, run time, output."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(what, (most, most))
    return ["limits"]


def filter_calls() -> list[str]:
    """Refuse sockets, files, programs and other processes; empty where there is no seccomp."""
    table = _TABLES.get(platform.machine())
    if table is None:
        return []
    code = _program(*table)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return []
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        return []
    return ["seccomp"]


def _program(arch: int, refused: dict[str, int]) -> bytes:
    """Return the filter in the classic BPF of the kernel: code, jump true, jump false, k."""
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    steps = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (equal, 1, 0, arch),
        (give, 0, 0, _KILL),
        (load, 0, 0, 0),  # seccomp_data.nr
        (at_least, len(refused) + 1, 0, _X32_BIT),
    ]
    numbers = sorted(refused.values())
    steps += [(equal, len(numbers) - n, 0, number) for n, number in enumerate(numbers)]
    steps += [(give, 0, 0, _ALLOW), (give, 0, 0, _REFUSE)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
