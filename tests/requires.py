"""What a test may need of its host: a closed vocabulary, each need probed once.

    @pytest.mark.requires("root", "overlay")

A need that the host lacks skips the test and says why. Named in CONTAINERIZER_TEST_REQUIRE (comma
separated), the same need fails the test instead: a reference machine cannot lose coverage silently.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

ENVIRONMENT = "CONTAINERIZER_TEST_REQUIRE"

Probe = Callable[[], str | None]  # what the host lacks, as a clause; None when it lacks nothing

_CONTROLLERS = frozenset({"memory", "cpu", "pids"})

# In a mount namespace of its own, and on a tmpfs: overlayfs takes no overlay as its upperdir.
_TRY_OVERLAY = """
mount -t tmpfs none /mnt && cd /mnt && mkdir lower upper work merged &&
mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work merged
"""

# In a mount namespace of its own; the loop device is freed with it.
_TRY_EXT4 = """
mount -t tmpfs none /mnt && cd /mnt && mkdir disk && truncate -s 4M image && mkfs.ext4 -q image &&
mount -o loop image disk
"""


# As above; xfs shares extents between files, and takes no smaller disk.
_TRY_REFLINK = """
mount -t tmpfs none /mnt && cd /mnt && mkdir disk && truncate -s 320M image &&
mkfs.xfs -q -m reflink=1 image && mount -o loop image disk
"""


class UnknownNeed(Exception):
    """A test, or the environment, names a need that is not in the vocabulary."""


def missing(name: str) -> str | None:
    """Why the host does not meet the need; None when it does. Raises UnknownNeed."""
    if name not in NEEDS:
        raise UnknownNeed(f"unknown need {name!r}; the vocabulary is {', '.join(sorted(NEEDS))}")
    return _probe(name)


def mandatory(environment: Mapping[str, str]) -> frozenset[str]:
    """The needs that must be met here. Raises UnknownNeed."""
    words = environment.get(ENVIRONMENT, "").replace(",", " ").split()
    unknown = sorted(set(words) - set(NEEDS))
    if unknown:
        raise UnknownNeed(f"{ENVIRONMENT} names {unknown[0]!r}; the vocabulary is {', '.join(sorted(NEEDS))}")
    return frozenset(words)


@functools.cache
def _probe(name: str) -> str | None:
    return NEEDS[name]()


def _root() -> str | None:
    return None if os.geteuid() == 0 else "tests do not run as root"


def _succeeds(argv: list[str], otherwise: str) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    except OSError as error:
        return f"{otherwise}: {error}"
    return None if done.returncode == 0 else f"{otherwise}: {done.stderr.strip()}"


def _userns() -> str | None:
    return _succeeds(["unshare", "--user", "true"], "the kernel refuses a new user namespace")


def _overlay() -> str | None:
    return _succeeds(["unshare", "--mount", "sh", "-c", _TRY_OVERLAY], "overlayfs cannot be mounted")


def _ext4() -> str | None:
    return _succeeds(["unshare", "--mount", "sh", "-c", _TRY_EXT4], "no ext4 can be made and mounted")


def _reflink() -> str | None:
    return _succeeds(["unshare", "--mount", "sh", "-c", _TRY_REFLINK], "no xfs can be made and mounted")


# As above; the mount is refused where the kernel does not keep such quotas.
_TRY_QUOTA = """
mount -t tmpfs none /mnt && cd /mnt && mkdir disk && truncate -s 320M image && {mkfs} image &&
mount -o loop,prjquota image disk
"""
_MKFS = {"xfs": "mkfs.xfs -q", "ext4": "mkfs.ext4 -q -O quota,project -E quotatype=prjquota"}


def _quota(filesystem: str) -> Probe:
    script = _TRY_QUOTA.format(mkfs=_MKFS[filesystem])
    otherwise = f"no {filesystem} with project quotas can be made and mounted"
    return lambda: _succeeds(["unshare", "--mount", "sh", "-c", script], otherwise)


def _hierarchies(fstype: str) -> list[tuple[Path, set[str]]]:
    """(mount point, super options) of each mount of this type; see proc_pid_mountinfo(5)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        if kind == fstype:
            found.append((Path(mount.split()[4]), set(options.split(","))))
    return found


def _controllers1() -> set[str]:
    return {c for point, options in _hierarchies("cgroup") if os.access(point, os.W_OK) for c in options}


def _controllers2() -> set[str]:
    available: set[str] = set()
    for point, _ in _hierarchies("cgroup2"):
        if os.access(point, os.W_OK):
            available.update((point / "cgroup.controllers").read_text().split())
    return available


def _cgroup1() -> str | None:
    return _lacks(_controllers1(), "no writable cgroup v1 hierarchy")


def _cgroup2() -> str | None:
    return _lacks(_controllers2(), "no writable cgroup v2 hierarchy")


def _cgroup() -> str | None:
    return _lacks(_controllers1() | _controllers2(), "no writable cgroup hierarchy")


def _lacks(available: set[str], otherwise: str) -> str | None:
    absent = sorted(_CONTROLLERS - available)
    return f"{otherwise} with {', '.join(absent)}" if absent else None


def _systemd() -> str | None:
    """In a virtual machine of ours: such tests install units, users and programs."""
    is_booted = os.path.isdir("/run/systemd/system") and os.path.isdir("/run/vm/scratch")  # as sd_booted(3)
    return None if is_booted else "this is no virtual machine with systemd (make test-systemd)"


def _tun() -> str | None:
    return None if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "/dev/net/tun cannot be opened"


def _device_mapper() -> str | None:
    if not shutil.which("dmsetup"):
        return "dmsetup is not installed (apt-get install dmsetup)"
    lacking = "the kernel has no device mapper (CONFIG_BLK_DEV_DM)"
    return None if os.path.exists("/sys/class/misc/device-mapper") else lacking


def _program(name: str, package: str) -> Probe:
    lacking = f"{name} is not installed (apt-get install {package})"
    return lambda: None if shutil.which(name) else lacking


def _apparmor() -> str | None:
    """With its profiles in sight, and what loads some."""
    if not os.path.exists("/sys/kernel/security/apparmor/profiles"):
        return "the kernel shows no AppArmor (CONFIG_SECURITY_APPARMOR, securityfs)"
    return _program("apparmor_parser", "apparmor")()


def _selinux() -> str | None:
    """By a policy whose types the tests know."""
    try:
        own = Path("/proc/self/attr/current").read_text()
    except OSError:
        own = ""
    return None if own.startswith("tests_u:") else "SELinux does not go by the policy of tests/vm/selinux.cil"


def _keyctl() -> str | None:
    return None if os.path.exists("/proc/keys") else "the kernel has no keys (CONFIG_KEYS)"


def _cni() -> str | None:
    missing = [name for name in ("bridge", "portmap") if not os.access(f"/usr/lib/cni/{name}", os.X_OK)]
    return "no CNI plug-ins (apt-get install containernetworking-plugins)" if missing else None


def _device(kind: str, *options: str) -> Probe:
    """Whether the kernel has this kind of network device, made of another one."""
    script = 'ip link add up0 type veth peer name up1 && exec ip link add link up0 name own0 type "$@"'
    return lambda: _succeeds(
        ["unshare", "--net", "sh", "-c", script, "sh", kind, *options], f"the kernel has no {kind}"
    )


def _nftables() -> str | None:
    """What networks of our own take, and their tests."""
    return _program("nft", "nftables")() or _program("ip", "iproute2")()


def _uidmap() -> str | None:
    return next(filter(None, (_program(name, "uidmap")() for name in ("newuidmap", "newgidmap"))), None)


def _sshfs() -> str | None:
    """With a server on this host, and FUSE (apt-get install sshfs openssh-sftp-server)."""
    if not os.path.exists("/dev/fuse"):
        return "the kernel has no FUSE: /dev/fuse is missing"
    if not os.path.exists("/usr/lib/openssh/sftp-server"):
        return "sftp-server is not installed (apt-get install openssh-sftp-server)"
    return _program("sshfs", "sshfs")()


def _nfs() -> str | None:
    """Both ends of it, on this host."""
    programs = (("rpc.nfsd", "nfs-kernel-server"), ("mount.nfs", "nfs-common"))
    lacking = next(filter(None, (_program(*each)() for each in programs)), None)
    is_loaded = "\tnfsd\n" in Path("/proc/filesystems").read_text()
    return lacking or (None if is_loaded else "the kernel has no NFS server: nfsd is not loaded")


NEEDS: Mapping[str, Probe] = {
    "root": _root,
    "userns": _userns,
    "cgroup": _cgroup,  # memory, cpu and pids, each on either version
    "cgroup1": _cgroup1,  # memory, cpu and pids on v1
    "cgroup2": _cgroup2,  # memory, cpu and pids on v2
    "systemd": _systemd,
    "overlay": _overlay,
    "ext4": _ext4,  # on a loop device
    "xfs_quota": _quota("xfs"),  # of projects, on a loop device (apt-get install xfsprogs)
    "ext4_quota": _quota("ext4"),  # likewise
    "reflink": _reflink,  # an xfs on a loop device (apt-get install xfsprogs)
    "tun": _tun,
    "device-mapper": _device_mapper,  # apt-get install dmsetup
    "keyctl": _keyctl,
    "apparmor": _apparmor,
    "selinux": _selinux,  # in the virtual machine with `--lsm selinux`
    "uidmap": _uidmap,
    "cni": _cni,  # Debian's plug-ins
    "nftables": _nftables,
    "slirp4netns": _program("slirp4netns", "slirp4netns"),
    "pasta": _program("pasta", "passt"),
    "sshfs": _sshfs,
    "zsh": _program("zsh", "zsh"),
    "fish": _program("fish", "fish"),
    "nfs": _nfs,
    "macvlan": _device("macvlan"),
    "ipvlan": _device("ipvlan"),
    "vlan": _device("vlan", "id", "7"),
    "registry": _program("docker-registry", "docker-registry"),
    "busybox": _program("busybox", "busybox-static"),
    "openssl": _program("openssl", "openssl"),
    "skopeo": _program("skopeo", "skopeo"),
    "umoci": _program("umoci", "umoci"),
    "podman": _program("podman", "podman"),
    "buildah": _program("buildah", "buildah"),
    "crun": _program("crun", "crun"),
    "kubectl": _program("kubectl", "kubernetes-client"),
    "prometheus": _program("prometheus", "prometheus"),
    "protoc": _program("protoc", "protobuf-compiler"),
    "chromium": lambda: _program("chromium", "chromium")() or _program("chromedriver", "chromium-driver")(),
    "stress-ng": _program("stress-ng", "stress-ng"),
}
