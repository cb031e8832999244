"""IsolatorFlags: the operator's settings for all isolators."""

from __future__ import annotations

import json
from typing import Any

from launcher.data import Data, asdict

DEFAULT_CGROUPS_ROOT = "containerizer"  # of the default state directory: containerizer.cgroups_root


class IsolatorFlags(Data, kw_only=True):
    """The operator's settings for all isolators."""

    # Below the mount point of each hierarchy; all in it is of the containers of one state directory.
    cgroups_root: str = DEFAULT_CGROUPS_ROOT
    cgroup_parents: str | None = None  # where requests' are noted: isolators/cgroups/parents.py
    state: str = "/run/containerizer"  # what is given out once on the host; forgotten at a reboot
    own_state: str = "/run/containerizer"  # likewise, of the containerizer's own containers
    volumes: str = "/var/lib/containerizer/volumes"  # those with a name: isolators.volume_store
    # Directories of which volumes may be, and in which missing sources are made.
    host_path_volume_allowed: tuple[str, ...] | None = None  # None: all
    host_path_volume_force_creation: tuple[str, ...] = ()
    networks: str = "/var/lib/containerizer/networks"  # what survives a reboot: isolators.network.places
    networks_state: str = "/run/containerizer/networks"  # and what does not
    cni_config_dirs: tuple[str, ...] = ("/etc/cni/net.d",)  # looked at after those of `network create`
    cni_plugins_dirs: tuple[str, ...] = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
    enforce_container_ports: bool = True  # False: a port that was not granted is reported, and no more
    container_ports_watch_interval: float = 5.0  # seconds between two looks at what listens
    net_cls_primary_handle: int | None = None  # of the classes that containers get; None: they get none
    net_cls_secondary_handles: tuple[int, int] = (1, 0xFFFF)  # the first and the last one
    perf_events: tuple[str, ...] = ("task-clock", "context-switches", "cpu-migrations", "page-faults")
    cdi_spec_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")  # the last one wins
    hooks_dirs: tuple[str, ...] = ()  # of hooks for all containers: isolators.hooks.oci
    bounding_capabilities: tuple[str, ...] | None = None  # the most that any container gets; None: the host's
    effective_capabilities: tuple[str, ...] | None = None  # unless a request says others; None: Docker's
    seccomp_profile_root: str = "/var/lib/kubelet/seccomp"  # of profiles that are named "localhost/NAME"
    seccomp_listeners: tuple[str, ...] = ()  # sockets that profiles may name as those who answer for them
    nvidia_gpu_devices: tuple[int, ...] | None = None  # indices of the GPUs to give out; None: all
    enforce_container_disk_quota: bool = True  # False: what is used is told, and no more
    container_disk_watch_interval: float = 15.0  # seconds between two measurements
    xfs_project_range: tuple[int, int] = (5000, 10000)  # projects to give out, on ext4 too: first and last
    xfs_kill_containers: bool = False  # rather than refuse them more
    xfs_quota_headroom: int = 10 << 20  # bytes beyond the limit that one has until it is killed
    docker_plugins_dirs: tuple[str, ...] = (
        *("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins"),
    )
    docker_volume_timeout: float = 120.0  # seconds to mount one, or to make it; half of it for the rest
    docker_volume_retries: float = 30.0  # seconds in which a plug-in that does not answer is asked again
    dvdcli: str | None = None  # the program; None: as PATH has it, for plug-ins that are not found otherwise
    csi_plugin_config_dir: str = "/etc/containerizer/csi"  # files of isolators.volume.csi_plugins
    csi_sockets_dir: str = "/var/lib/kubelet/plugins"  # of plug-ins without such a file
    csi_timeout: float = 120.0  # seconds of one call to a plug-in
    csi_retries: float = 30.0  # seconds in which one that is not answered is made again
    secret_resolver: str | None = None  # who has secrets that requests refer to: isolators.secret_resolvers
    secrets_dir: str = "/etc/containerizer/secrets"  # of the resolver "file"
    secret_command: str | None = None  # of the resolver "command"

    def to_json(self) -> str:
        """What differs from the defaults; `from_json` is its inverse."""
        return json.dumps({name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]})

    @classmethod
    def from_json(cls, text: str) -> IsolatorFlags:
        """Raises ValueError, TypeError for what was not made by `to_json`."""
        values: Any = json.loads(text)
        decoded: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**decoded)


_DEFAULTS = asdict(IsolatorFlags())
