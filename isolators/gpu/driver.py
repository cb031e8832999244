"""The user-space half of NVIDIA's driver, which has to be of the kernel module's version: so the host's.

The names are those that libnvidia-container (src/nvc_info.c) gives each driver capability, in the words of
NVIDIA_DRIVER_CAPABILITIES. Each library is bound where its soname says, in a directory of our own that
comes first in LD_LIBRARY_PATH: nothing of the image is run, written to or followed to do so. (The
toolkit that runs ldconfig and hooks for it with the host's privileges: CVE-2024-0132, CVE-2025-23266.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from isolators.gpu import library_cache
from launcher.errors import InvalidRequest
from launcher.launch_info import FileOperation, Mount

PLACE = "/usr/local/nvidia"  # where images made for GPUs look, too
LIBRARIES = f"{PLACE}/lib64"
TOOLS = f"{PLACE}/bin"

DEFAULT = ("compute", "utility")

_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "utility": ("libnvidia-ml.so", "libnvidia-cfg.so", "libnvidia-nscq.so"),
    "compute": (
        *("libcuda.so", "libcudadebugger.so", "libnvidia-opencl.so", "libnvidia-gpucomp.so"),
        *("libnvidia-ptxjitcompiler.so", "libnvidia-fatbinaryloader.so", "libnvidia-allocator.so"),
        *("libnvidia-compiler.so", "libnvidia-pkcs11.so", "libnvidia-pkcs11-openssl3.so"),
        "libnvidia-nvvm.so",
    ),
    "video": ("libvdpau_nvidia.so", "libnvidia-encode.so", "libnvidia-opticalflow.so", "libnvcuvid.so"),
    "graphics": (
        *("libnvidia-eglcore.so", "libnvidia-glcore.so", "libnvidia-tls.so", "libnvidia-glsi.so"),
        *("libnvidia-fbc.so", "libnvidia-ifr.so", "libnvidia-rtcore.so", "libnvoptix.so"),
        *("libGLX_nvidia.so", "libEGL_nvidia.so", "libGLESv2_nvidia.so", "libGLESv1_CM_nvidia.so"),
        *("libnvidia-glvkspirv.so", "libnvidia-cbl.so"),
    ),
    "display": ("libnvidia-eglcore.so", "libnvidia-glcore.so", "libnvidia-tls.so", "libnvidia-glsi.so"),
    "ngx": ("libnvidia-ngx.so",),
}
_TOOLS: Mapping[str, tuple[str, ...]] = {
    "utility": ("nvidia-smi", "nvidia-debugdump", "nvidia-persistenced"),
    "compute": ("nvidia-cuda-mps-control", "nvidia-cuda-mps-server"),
}
_TOOL_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/opt/bin")

_READ_ONLY = ("ro", "nosuid", "nodev")


def capabilities(asked: str | None) -> tuple[str, ...]:
    """Those that the text names; the default ones for None and "". Raises InvalidRequest."""
    words = [word.strip() for word in (asked or "").split(",") if word.strip()] or list(DEFAULT)
    if "all" in words:
        return tuple(_LIBRARIES)
    for word in words:
        if word not in _LIBRARIES:
            hint = f"there are all, {', '.join(_LIBRARIES)}"
            raise InvalidRequest(
                f"unknown driver capability {word!r} in NVIDIA_DRIVER_CAPABILITIES", hint=hint
            )
    return tuple(dict.fromkeys(words))


def mounts(asked: Iterable[str], host: str = "/") -> tuple[Mount, ...]:
    """What shows the driver's libraries and tools; `host` is the root of the host's files.

    What the host's driver does not have is left out: its versions differ in that. Raises OSError
    without a library cache, InvalidLibraryCache.
    """
    asked = list(asked)
    cache = library_cache.read(_on(host, library_cache.PATH))
    names = {name for capability in asked for name in _LIBRARIES[capability]}
    libraries = {soname: path for soname, path in cache.items() if _is_of(soname, names)}
    tools = {name: path for word in asked for name in _TOOLS.get(word, ()) if (path := _tool(name, host))}
    place = Mount(
        target=PLACE,
        fstype="tmpfs",
        source="tmpfs",
        flags=("nosuid", "nodev"),
        options=(("mode", "755"), ("size", "64k")),
    )
    bound = [(f"{LIBRARIES}/{soname}", _real(path, host)) for soname, path in sorted(libraries.items())]
    bound += [(f"{TOOLS}/{name}", _real(path, host)) for name, path in sorted(tools.items())]
    return place, *(Mount(target=to, fstype="bind", source=path, flags=_READ_ONLY) for to, path in bound)


def links(mounted: Iterable[Mount]) -> tuple[FileOperation, ...]:
    """Programs open libcuda without a version, too."""
    if not any(mount.target == f"{LIBRARIES}/libcuda.so.1" for mount in mounted):
        return ()
    return (FileOperation(kind="symlink", path=f"{LIBRARIES}/libcuda.so", content="libcuda.so.1"),)


def _is_of(soname: str, names: set[str]) -> bool:
    stem, dot, _ = soname.partition(".so")
    return bool(dot) and f"{stem}.so" in names


def _tool(name: str, host: str) -> str | None:
    paths = (f"{directory}/{name}" for directory in _TOOL_DIRECTORIES)
    return next((path for path in paths if os.path.isfile(_on(host, path))), None)


def _real(path: str, host: str) -> str:
    return os.path.realpath(_on(host, path))


def _on(host: str, path: str) -> str:
    return os.path.join(host, path.lstrip("/"))
