"""What the operator says of the CRI."""

from __future__ import annotations

from launcher.data import Data

HANDLER = "containerizer"


class CriSettings(Data, kw_only=True):
    """Of one server."""

    address: str  # unix:///PATH
    handlers: tuple[str, ...] = (HANDLER,)  # what RuntimeClasses call it; "" always is it
    cgroup_driver: str = "cgroupfs"  # as the kubelet's: or systemd, whose cgroup parents are slices
    confines_devices: bool = True  # cgroups/devices is at work
    limits_huge_pages: bool = True  # cgroups/hugetlb is
    cni_config_dirs: tuple[str, ...] = ()  # of whose networks pods join the first
    stream_address: str = "127.0.0.1:0"  # HOST:PORT where streams are served
