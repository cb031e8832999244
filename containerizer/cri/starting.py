"""The CRI of an agent, from its flags to its end."""

from __future__ import annotations

from containerizer.agent.engine import Engine
from containerizer.agent.flags import Flags
from containerizer.cri import scopes
from containerizer.cri.containers import ContainerCalls
from containerizer.cri.execs import ExecCalls
from containerizer.cri.images import ImageCalls
from containerizer.cri.listening import ListeningCalls
from containerizer.cri.metrics import MetricsCalls
from containerizer.cri.pods import PodCalls
from containerizer.cri.runtime import RuntimeCalls
from containerizer.cri.server import VERSIONS, CriServer, path_of
from containerizer.cri.service import Service
from containerizer.cri.settings import CriSettings
from containerizer.cri.statistics import StatisticsCalls
from containerizer.cri.streaming.server import StreamingServer
from isolators import catalog
from launcher.kernel import cgroups

# Beside the agent's default isolators, as far as this host has what they need.
ISOLATORS = (
    "network/cni",
    "namespaces/user",
    "linux/devices",
    "cgroups/devices",
    "cgroups/cpuset",
    "cgroups/hugetlb",
    "linux/apparmor",
    "linux/selinux",
)


def settings_of(flags: Flags) -> CriSettings:
    """Raises InvalidRequest."""
    path_of(flags["cri"])
    scopes.check(flags["cri_cgroup_driver"])
    isolators = set(flags["isolation"] or isolation(flags["cri_cgroup_driver"]))
    everything = "cgroups/all" in isolators
    return CriSettings(
        address=flags["cri"],
        handlers=flags["cri_runtime_handlers"],
        confines_devices=everything or "cgroups/devices" in isolators,
        limits_huge_pages=everything or "cgroups/hugetlb" in isolators,
        cgroup_driver=flags["cri_cgroup_driver"],
        cni_config_dirs=flags["network_cni_config_dir"],
        stream_address=flags["cri_stream_address"],
    )


def isolation(cgroup_driver: str = "cgroupfs") -> tuple[str, ...]:
    """The isolators of an agent that nobody has named some for."""
    there = {each.name for each in catalog.describe() if each.available}
    if _has_hugetlb_apart() or scopes.are_made(cgroup_driver):  # of which systemd knows nothing
        there.discard("cgroups/hugetlb")
    return (*catalog.DEFAULT, *(name for name in ISOLATORS if name in there))


def _has_hugetlb_apart() -> bool:
    """Whether it is the one controller of v2: for its sake each pod's processes would have to be moved."""
    found = cgroups.find("hugetlb")
    versions = {each.version for each in cgroups.hierarchies()}
    return found is not None and found.version == 2 and 1 in versions


class CriAgent:
    """Serves the CRI by an engine that has started."""

    def __init__(self, engine: Engine, settings: CriSettings) -> None:
        """Raises OSError."""
        self._settings = settings
        self.service = Service(engine, settings)
        self._streaming = StreamingServer(self.service, self.service.tokens)
        images = ImageCalls(engine.images, engine.paths.root)
        statistics = StatisticsCalls(self.service)
        shared = (
            images,
            PodCalls(self.service),
            ContainerCalls(self.service, images),
            ExecCalls(self.service),
            statistics,
            MetricsCalls(self.service, statistics),
            ListeningCalls(self.service),
        )
        self._server = CriServer(
            {version: (RuntimeCalls(settings, version), *shared) for version in VERSIONS}
        )

    async def start(self) -> None:
        """Raises InvalidRequest, CannotListen."""
        await self.service.start()
        await self._streaming.start(self._settings.stream_address)
        await self._server.start(self._settings.address)

    async def close(self, patience: float) -> None:
        """Give the calls under way `patience` seconds; what runs goes on."""
        self.service.happenings.close()
        await self._streaming.close()
        await self._server.close(patience)
        await self.service.close()
