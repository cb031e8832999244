"""The numbers of the system calls that launch programs make, by machine.

From asm/unistd_64.h of x86, powerpc and s390, and asm-generic/unistd.h, which later machines have.
"""

from __future__ import annotations

import errno
import os

# name, x86_64, generic, ppc64le, s390x
_TABLE = """
    read                    0      63       3       3
    write                   1      64       4       4
    close                   3      57       6       6
    lseek                   8      62      19      19
    rt_sigaction           13     134     173     174
    rt_sigprocmask         14     135     174     175
    ioctl                  16      29      54      54
    pwrite64               18      68     180     181
    getpid                 39     172      20      20
    socket                 41     198     326     359
    sendto                 44     206     335     369
    recvfrom               45     207     337     371
    sendmsg                46     211     341     370
    recvmsg                47     212     342     372
    socketpair             53     199     333     360
    setsockopt             54     208     339     366
    clone                  56     220     120     120
    execve                 59     221      11      11
    wait4                  61     260     114     114
    kill                   62     129      37      37
    fcntl                  72      25      55      55
    flock                  73      32     143     143
    fsync                  74      82     118     118
    ftruncate              77      46      93      93
    getcwd                 79      17     182     183
    chdir                  80      49      12      12
    fchdir                 81      50     133     133
    fchmod                 91      52      94      94
    fchown                 93      55      95     207
    umask                  95     166      60      60
    setpgid               109     154      57      57
    setsid                112     157      66      66
    setgroups             116     159      81     206
    setresuid             117     147     164     208
    setresgid             119     149     169     210
    setfsuid              122     151     138     215
    setfsgid              123     152     139     216
    capset                126      91     184     185
    rt_sigtimedwait       128     137     176     177
    personality           135      92     136     136
    setpriority           141     140      97      97
    sched_setscheduler    144     119     156     156
    pivot_root            155      41     203     217
    prctl                 157     167     171     172
    mount                 165      40      21      21
    umount2               166      39      52      52
    sethostname           170     161      74      74
    sched_setaffinity     203     122     222     239
    clock_gettime         228     113     246     260
    exit_group            231      94     234     248
    keyctl                250     219     271     280
    ioprio_set            251      30     273     282
    openat                257      56     286     288
    mkdirat               258      34     287     289
    unlinkat              263      35     292     294
    symlinkat             266      36     295     297
    faccessat             269      48     298     300
    ppoll                 271      73     281     302
    unshare               272      97     282     303
    fallocate             285      47     309     314
    dup3                  292      24     316     326
    prlimit64             302     261     325     334
    setns                 308     268     350     339
    renameat2             316     276     357     347
    seccomp               317     277     358     348
"""

# From 424 on, system calls have one number on every architecture.
_COMMON = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}

_COLUMNS = {
    "x86_64": 1,
    "ppc64le": 3,
    "s390x": 4,
    **dict.fromkeys(("aarch64", "riscv64", "loongarch64"), 2),
}


class _Numbers(dict[str, int]):
    """Name → number."""

    def __missing__(self, name: str) -> int:
        raise OSError(errno.ENOSYS, "its number on this machine is not known", name)


def numbers(machine: str) -> dict[str, int]:
    """Name → number, on a machine of uname(2). To ask for one that is not known raises OSError (ENOSYS)."""
    column = _COLUMNS.get(machine)
    rows = map(str.split, _TABLE.splitlines()[1:] if column else ())
    return _Numbers({row[0]: int(row[column or 0]) for row in rows}, **_COMMON)


NUMBERS = numbers(os.uname().machine)
