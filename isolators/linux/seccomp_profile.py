"""The built-in profile of seccomp: what a task may call, with the capabilities that it has.

As strict as the default profile of Docker in 2026 (github.com/moby/profiles, seccomp/default.json),
from which the names are, and stricter in this:

- the address families of sockets are Docker's latest, shorter list;
- the 32-bit socketcall(2) makes no sockets, since a filter cannot see of which family;
- no file can be given another project: it would count against the disk quota of a neighbour;
- no rings of packet sockets, nor of XDP's, without CAP_NET_ADMIN: of their memory, which may be all of the
  host's, the kernel keeps no account (af_packet.c, xsk_queue.c), so no limit holds, and others are killed;
- the x32 ABI is not there, nor 32-bit ARM.

What is not named fails with EPERM. What comes after the newest call that we know fails with ENOSYS,
so that a C library falls back on an older one.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator

from isolators.linux.seccomp_filter import ALLOW, Condition, Profile, Rule, errno_action

_ALLOWED = """
    _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir
    chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range
    creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
    epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32
    fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
    futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd
    getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
    getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32
    getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday
    getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
    io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
    listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack
    membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall
    mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
    mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
    munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
    pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
    ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64
    pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg
    recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
    restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
    semtimedop semtimedop_time64 sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list
    set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
    setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32
    setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 setxattr
    setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask
    sigreturn socketpair splice stat stat64 statfs statfs64 statmount statx symlink
    symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
    timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate
    truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64
    utimes vfork vmsplice wait4 waitid waitpid write writev
    arch_prctl modify_ldt
    process_vm_readv process_vm_writev ptrace
"""

_BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_NET_ADMIN": "setsockopt",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
        lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open
        quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
        """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_INT = 0xFFFFFFFF  # mask of an argument of 32 bits: the kernel ignores what is above

# CLONE_NEW* of linux/sched.h: namespaces are the way to capabilities that a task does not have.
_NEW_NAMESPACE = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000

# AF_* of linux/socket.h, first and last. Left out are those that reach the host (40, vsock), that
# have let tasks become root (38, alg), and that nobody uses any more.
_FAMILIES = ((0, 11), (13, 18), (21, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45))

# Linux, 32 bits, UNAME26, both, and the question which it is. Not ADDR_NO_RANDOMIZE, which eases exploits.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

_SYS_SOCKET, _SYS_SETSOCKOPT = 1, 14  # of linux/net.h, for socketcall

# SOL_XDP, and SOL_PACKET with PACKET_RX_RING and PACKET_TX_RING; linux/socket.h, linux/if_packet.h.
_XDP, _PACKET, _RINGS = 283, 263, (5, 13)


def deciding(capabilities: Collection[str]) -> frozenset[str]:
    """Those of the capabilities that the profile depends on."""
    return frozenset(_BY_CAPABILITY.keys() & capabilities)


# FS_IOC_FSSETXATTR and, of 64 and of 32 bits, FS_IOC_SETFLAGS; linux/fs.h. The one gives a file another
# project, whose quota counts it from then on; the other tells a directory not to hand its project on. Outside
# of user namespaces the owner of a file may do both: fileattr_set_prepare of the kernel's fs/ioctl.c. What of
# a file is changed lies in memory, where a filter cannot look; few programs ask for the first one at all.
_SET_ATTRIBUTES = (0x401C5820,)
_SET_FLAGS = (0x40086602, 0x40046602)


def profile(capabilities: Collection[str], *, keeps_projects: bool = False) -> Profile:
    """The profile of a task whose bounding set these are, by name.

    `keeps_projects`: what it writes stays in its project, and no attribute of chattr(1) can be changed.
    """
    return Profile(rules=tuple(_rules(capabilities, keeps_projects=keeps_projects)))


def keeping_projects(*, limited: bool) -> Iterator[Rule]:
    """For the beginning of other profiles: rules by which files stay in their project, as above."""
    for request in (*_SET_ATTRIBUTES, *(_SET_FLAGS if limited else ())):
        yield Rule(("ioctl",), errno_action(errno.EPERM), (Condition(1, "==", request, _INT),))


def _rules(capabilities: Collection[str], *, keeps_projects: bool) -> Iterator[Rule]:
    yield Rule(tuple(name for name in _ALLOWED.split() if name != "ioctl"), ALLOW)
    refused = (*_SET_ATTRIBUTES, *(_SET_FLAGS if keeps_projects else ()))
    yield Rule(("ioctl",), ALLOW, tuple(Condition(1, "!=", request, _INT) for request in refused))
    for capability in sorted(deciding(capabilities)):
        yield Rule(tuple(_BY_CAPABILITY[capability].split()), ALLOW)
    # Behind SYS_ADMIN's, which allows both without a condition.
    yield Rule(("clone",), ALLOW, (Condition(0, "==", 0, _NEW_NAMESPACE),))
    # Its flags are in memory, where a filter cannot look: the C library goes on with clone.
    yield Rule(("clone3",), errno_action(errno.ENOSYS))
    for first, last in _FAMILIES:
        limits = (Condition(0, ">=", first, _INT), Condition(0, "<=", last, _INT))
        yield Rule(("socket",), ALLOW, limits)
    levels = tuple(Condition(1, "!=", level, _INT) for level in (_PACKET, _XDP))
    yield Rule(("setsockopt",), ALLOW, levels)
    options = tuple(Condition(2, "!=", ring, _INT) for ring in _RINGS)
    yield Rule(("setsockopt",), ALLOW, (Condition(1, "==", _PACKET, _INT), *options))
    for call in (_SYS_SOCKET, _SYS_SETSOCKOPT):
        yield Rule(("socketcall",), errno_action(errno.ENOSYS), (Condition(0, "==", call, _INT),))
    yield Rule(("socketcall",), ALLOW)
    for personality in _PERSONALITIES:
        yield Rule(("personality",), ALLOW, (Condition(0, "==", personality, _INT),))
