"""Debian's cloud kernel in .vm/kernel, never installed on the host, and its initramfs."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

PACKAGE = "linux-image-cloud-amd64"
BUSYBOX = "busybox"
_TIMEOUT = 300  # seconds for one program; a mirror may be slow

# What the initramfs has to load before it sees the host's files; the rest is loaded from there.
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "virtiofs", "overlay", "quota_v2")


class Unavailable(Exception):
    """Something is missing on the host; the message says what, and what to install."""


def fetch(directory: Path) -> Path:
    """The unpacked kernel package, downloaded unless it is there; has boot/ and lib/modules/.

    A kernel that is there is kept: `make clean` lets the next run fetch the newest. Raises Unavailable.
    """
    if not directory.exists():
        partial = directory.with_name(directory.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        package = _download(partial)
        run("dpkg", "-x", package.name, ".", cwd=partial)
        package.unlink()
        run(BUSYBOX, "depmod", "-b", str(partial), release(partial), cwd=partial)
        partial.rename(directory)
    return directory


def release(kernel: Path) -> str:
    (modules,) = (kernel / "lib/modules").iterdir()
    return modules.name


def image(kernel: Path) -> Path:
    return kernel / "boot" / f"vmlinuz-{release(kernel)}"


def initramfs(kernel: Path) -> Path:
    """A cpio archive of busybox, `init`, and the modules that it loads, in this order. Raises Unavailable."""
    root = kernel / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "modules", "proc", "dev", "lower", "scratch", "root"):
        (root / name).mkdir(parents=True)
    shutil.copy(found(BUSYBOX), root / "bin/busybox")
    shutil.copy(Path(__file__).with_name("init"), root / "init")
    for number, module in enumerate(_in_order(kernel / "lib/modules" / release(kernel))):
        shutil.copy(module, root / f"modules/{number:02}-{module.name}")
    names = "\n".join(str(path.relative_to(root)) for path in [root, *sorted(root.rglob("*"))])
    cpio = subprocess.run(
        [BUSYBOX, "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), capture_output=True
    )
    if cpio.returncode != 0:
        raise Unavailable(f"busybox cpio failed: {cpio.stderr.decode()}")
    archive = kernel / "initramfs.gz"
    archive.write_bytes(gzip.compress(cpio.stdout, 1))
    return archive


def _in_order(modules: Path) -> list[Path]:
    """The boot modules, each after those it depends on; see modules.dep(5)."""
    dependencies = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        dependencies[_name(module)] = [_name(module) for module in others.split()]
        dependencies[_name(module)].append(module)
    ordered: list[str] = []

    def add(name: str) -> None:
        *others, path = dependencies[name]
        for other in others:
            add(other)
        if path not in ordered:
            ordered.append(path)

    for name in BOOT_MODULES:
        add(name)
    return [modules / path for path in ordered]


def _name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")


def _download(directory: Path) -> Path:
    """The package, by the lists that are there, or else by new ones: the old may name what is no more."""
    try:
        return _downloaded(directory)
    except Unavailable:
        run("apt-get", "update", cwd=directory)
        return _downloaded(directory)


def _downloaded(directory: Path) -> Path:
    run("apt-get", "download", _versioned(), cwd=directory)
    (package,) = directory.glob("*.deb")
    return package


def _versioned() -> str:
    """The package with the kernel itself, on which the one with the stable name depends."""
    found("apt-cache")
    listed = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True).stdout
    for line in listed.splitlines():
        relation, _, package = line.strip().partition(": ")
        if relation == "Depends" and package.startswith("linux-image-"):
            return package
    raise Unavailable(f"apt knows no package {PACKAGE}: is this Debian, on x86_64?")


def found(program: str) -> str:
    """Where the program is. Raises Unavailable."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{program} is not installed: `make vm-packages` installs what Debian has")
    return path


def run(*argv: str, cwd: Path | None = None) -> None:
    """Raises Unavailable, with what the program said, if it fails or takes too long."""
    argv = (found(argv[0]), *argv[1:])
    try:
        done = subprocess.run(
            argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(argv)} takes more than {_TIMEOUT} s") from error
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(argv)} failed: {(done.stderr or done.stdout).strip()}")
