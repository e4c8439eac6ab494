"""Linux's system call filter (seccomp): no network, no other program or process, no writing.

It holds for a process and all its threads, for good; it sees numbers, not what they point to.
"""

import ctypes
import os
import platform
import struct
import sys

# Numbers of system calls: on x86_64, and on aarch64 (-1: not there).
_REFUSED = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, -1),
    "vfork": (58, -1),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "prlimit64": (302, 261),
    "setrlimit": (160, 164),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "mount_setattr": (442, 442),
    "fsconfig": (431, 431),
    "fspick": (433, 433),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "unlink": (87, -1),
    "unlinkat": (263, 35),
    "rename": (82, -1),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, -1),
    "mkdirat": (258, 34),
    "rmdir": (84, -1),
    "link": (86, -1),
    "linkat": (265, 37),
    "symlink": (88, -1),
    "symlinkat": (266, 36),
    "mknod": (133, -1),
    "mknodat": (259, 33),
    "creat": (85, -1),
    "truncate": (76, 45),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "lchown": (94, -1),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "getxattr": (191, 8),
    "lgetxattr": (192, 9),
    "fgetxattr": (193, 10),
    "listxattr": (194, 11),
    "llistxattr": (195, 12),
    "flistxattr": (196, 13),
    "utimensat": (280, 88),
    "utimes": (235, -1),
    "utime": (132, -1),
    "futimesat": (261, -1),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semctl": (66, 191),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "fanotify_init": (300, 262),
    "inotify_init": (253, -1),
    "inotify_init1": (294, 26),
}
# A library that meets ENOSYS takes the older call, whose arguments a filter can see.
_NOT_THERE = {"clone3": (435, 435), "openat2": (437, 437)}
# Those that came after Linux 5.17 cannot be known here, nor does any library need them.
_FIRST_UNKNOWN = 450
_OPEN, _OPENAT, _CLONE = (2, -1), (257, 56), (56, 220)
_MMAP, _FCNTL, _IOCTL, _TGKILL = (9, 222), (72, 25), (16, 29), (234, 131)
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH_…
_CLONE_THREAD = 0x10000
# Neither kind of memory counts against RLIMIT_DATA: shared by nobody, and growing downwards.
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x01, 0x20, 0x100
# F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY: they make the system send signals.
_SIGNALLING = (8, 10, 15, 1024, 1026)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONCLEX, FIOCLEX: what Python asks of a descriptor.
_ASKING = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# The filter's machine: <linux/bpf_common.h>, <linux/seccomp.h>.
_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_EPERM, _EACCES, _ENOSYS = 1, 13, 38
_PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 38, 4
_SECCOMP = (317, 277)
_SET_FILTER, _ALL_THREADS = 1, 1


def filter_program(machine: str) -> bytes | None:
    """The system call filter as the kernel takes it; None for a machine that is not known."""
    if machine not in _MACHINES:
        return None
    column, arch = _MACHINES[machine]
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if column == 0:
        code += [(_ABOVE, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for calls, answer in ((_REFUSED, _EACCES), (_NOT_THERE, _ENOSYS)):
        for numbers in calls.values():
            if numbers[column] >= 0:
                code += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ERRNO | answer)]
    code += [(_ABOVE, 0, 1, _FIRST_UNKNOWN), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    # A file may be opened for reading only; a new thread is one, a new process none.
    for numbers, argument, bits in ((_OPEN, 1, _WRITING), (_OPENAT, 2, _WRITING)):
        if numbers[column] >= 0:
            code += [
                (_EQUAL, 0, 4, numbers[column]),
                (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument),
                (_ANY_BIT, 0, 1, bits),
                (_RETURN, 0, 0, _ERRNO | _EACCES),
                (_RETURN, 0, 0, _ALLOW),
            ]
    code += [
        (_EQUAL, 0, 6, _MMAP[column]),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * 3),
        (_ANY_BIT, 2, 0, _MAP_GROWSDOWN),
        (_ANY_BIT, 0, 2, _MAP_ANONYMOUS),
        (_ANY_BIT, 0, 1, _MAP_SHARED),
        (_RETURN, 0, 0, _ERRNO | _EACCES),
        (_RETURN, 0, 0, _ALLOW),
    ]
    refused = _ERRNO | _EACCES
    code += _by_argument(_FCNTL[column], 1, _SIGNALLING, refused, _ALLOW)
    code += _by_argument(_IOCTL[column], 1, _ASKING, _ALLOW, refused)
    # A library's abort() signals its own process.
    code += _by_argument(_TGKILL[column], 0, (os.getpid(),), _ALLOW, refused)
    code += [
        (_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _ARGUMENTS_AT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _by_argument(
    number: int, argument: int, values: tuple[int, ...], among: int, else_: int
) -> list[tuple[int, int, int, int]]:
    """Answer a system call by whether one of its arguments is among some values."""
    count = len(values)
    return [
        (_EQUAL, 0, count + 3, number),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument),
        *((_EQUAL, count - i, 0, value) for i, value in enumerate(values)),
        (_RETURN, 0, 0, else_),
        (_RETURN, 0, 0, among),
    ]


def filter_system_calls() -> bool:
    """No network, no other program or process, nothing written, for all threads and for good.

    False where the system has no such filter.
    """
    program = filter_program(platform.machine()) if sys.platform == "linux" else None
    if program is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    # Its memory is then closed to other processes of the same user, too.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    call = _SECCOMP[_MACHINES[platform.machine()][0]]
    return bool(libc.syscall(call, _SET_FILTER, _ALL_THREADS, ctypes.c_char_p(head)) == 0)
