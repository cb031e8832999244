"""The agent process, from its flags to its end.

    locks → listen → recover → serve … SIGTERM → finish requests → let go of the containers

It listens before it recovers: clients are told to come again (503) rather than refused. It stops on
SIGTERM and SIGINT, and leaves the containers to their supervisors; the next one takes them back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from containerizer import cgroups_root
from containerizer.agent.acls import Acls
from containerizer.agent.credentials import Credentials
from containerizer.agent.engine import Engine
from containerizer.agent.events import Event
from containerizer.agent.flags import TABLE, Flags
from containerizer.agent.listeners import BACKLOG, Tls, tcp, unix
from containerizer.agent.lock import DirectoryLocks
from containerizer.agent.log_writer import LogWriter
from containerizer.agent.server import application
from containerizer.agent.serving import ACTIVITY, ServerSettings
from containerizer.agent.settings import EngineSettings
from containerizer.agent.sites import TcpSite
from containerizer.fetcher.options import FetchOptions
from containerizer.paths import Paths
from isolators.isolator import IsolatorFlags
from launcher.errors import InvalidRequest
from provisioner.registry.options import RegistryOptions

if TYPE_CHECKING:
    from containerizer.cri.settings import CriSettings

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LOG_SIZE = 16 << 20  # bytes of a log file, before it is rotated
_OLD_LOGS = 2  # that are kept: FILE.1 and FILE.2

SOCKET = "agent.sock"  # in the runtime directory, if nothing else is asked for

_log = logging.getLogger("containerizer.agent")


def serve(flags: Flags) -> None:
    """Until it is asked to stop. Raises ContainerizerError if it cannot start."""
    written = LogWriter(sys.stderr.fileno())
    logging.basicConfig(format=_FORMAT, handlers=[written, *_log_file(flags["log_file"])])
    logging.getLogger("containerizer").setLevel(flags["logging_level"])
    logging.getLogger("aiohttp.server").addFilter(_without_traceback)
    _allow_descriptors()
    paths = Paths.of(flags["work_dir"], flags["runtime_dir"])
    locks = DirectoryLocks(paths.root, paths.state)
    try:
        asyncio.run(_serve(flags, paths, locks))
    finally:
        locks.close()
        written.close()


def _without_traceback(record: logging.LogRecord) -> bool:
    """A request that is no HTTP is its client's defect: told in a line, or clients could fill the log."""
    from aiohttp.http_exceptions import HttpProcessingError

    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | web.RequestPayloadError):
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args, record.exc_info = "a request is no HTTP: %.100r", (str(error),), None
    return record.levelno >= logging.getLogger("containerizer").level


def _log_file(path: str | None) -> list[logging.Handler]:
    """What writes it too, if there is to be one; it is rotated. Raises InvalidRequest."""
    if path is None:
        return []
    from logging.handlers import RotatingFileHandler

    try:
        return [RotatingFileHandler(path, maxBytes=_LOG_SIZE, backupCount=_OLD_LOGS)]
    except OSError as error:
        raise InvalidRequest(f"cannot write the log to {path}: {error.strerror}") from error


async def _serve(flags: Flags, paths: Paths, locks: DirectoryLocks) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    cri = _cri_settings(flags)
    if cri is not None:  # whose pods have cgroup parents
        os.makedirs(paths.cgroup_parents, mode=0o700, exist_ok=True)
    settings = engine_settings(flags, paths)
    cgroups_root.make_way(cgroups_root.settled(settings.isolator_flags, paths).cgroups_root)
    engine = Engine(settings)
    engine.events.observe(_write_log)
    credentials = Credentials.load(flags["http_credentials"]) if flags["http_credentials"] else None
    app = application(engine, _server_settings(flags), credentials)
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,  # a client that is gone waits for nothing
        keepalive_timeout=flags["request_timeout"],
        shutdown_timeout=flags["shutdown_grace_period"],
    )
    await runner.setup()
    try:
        await _listen(runner, flags, paths)
        try:
            await engine.start()
            async with _cri(engine, cri, flags["shutdown_grace_period"]):
                app[ACTIVITY].ready = True
                _notify("READY=1")
                _log.info("serving %s; %d containers run", paths.root, engine.keeper.running)
                await stopping.wait()
                _notify("STOPPING=1")
        finally:
            await runner.cleanup()
    finally:
        locks.share()  # before it lets go of the first container
        await engine.close()


def _cri_settings(flags: Flags) -> CriSettings | None:
    """Before anything is made. Raises InvalidRequest."""
    if flags["cri"] is None:
        return None
    from containerizer.cri import starting  # and gRPC, for those who do

    return starting.settings_of(flags)


@contextlib.asynccontextmanager
async def _cri(engine: Engine, settings: CriSettings | None, patience: float) -> AsyncIterator[None]:
    """Serve it meanwhile, if that is asked for."""
    if settings is None:
        yield
        return
    from containerizer.cri import starting

    cri = starting.CriAgent(engine, settings)
    await cri.start()
    try:
        yield
    finally:
        await cri.close(patience)


def engine_settings(flags: Flags, paths: Paths) -> EngineSettings:
    """What the flags say of containers and images."""
    return EngineSettings(
        root=paths.root,
        state=paths.state,
        isolation=_isolation(flags),
        launcher=flags["launcher"],
        image_backend=flags["image_provisioner_backend"],
        image_providers=flags["image_providers"],
        registries=RegistryOptions(
            insecure=flags["insecure_registries"],
            registries_conf=flags["registries_conf"],
            certs_dir=flags["certs_dir"],
            authfile=flags["docker_config"],
        ),
        fetch_options=FetchOptions(
            cache_size=flags["fetcher_cache_size"],
            max_size=flags["fetcher_max_size"],
            max_unpacked=flags["fetcher_max_size"],
            stall_timeout=flags["fetcher_stall_timeout"],
            timeout=flags["fetcher_timeout"],
        ),
        isolator_flags=_isolator_flags(flags),
        launching_lanes=flags["launches"] or min(8, (os.cpu_count() or 1) + 1),
        pulls=flags["pulls"],
        destroy_timeout=flags["destroy_timeout"],
        destroy_found=flags["recover"] == "cleanup",
        image_gc=flags["image_gc_config"],
        gc_delay=flags["gc_delay"],
        gc_headroom=flags["gc_disk_headroom"],
        gc_interval=flags["disk_watch_interval"],
    )


def _isolation(flags: Flags) -> Sequence[str] | None:
    if flags["isolation"] is not None or flags["cri"] is None:
        return flags["isolation"]  # type: ignore[no-any-return]
    from containerizer.cri import starting

    return starting.isolation(flags["cri_cgroup_driver"])


def _isolator_flags(flags: Flags) -> IsolatorFlags:
    return IsolatorFlags(
        cgroups_root=flags["cgroups_root"],
        bounding_capabilities=flags["bounding_capabilities"],
        effective_capabilities=flags["effective_capabilities"],
        seccomp_profile_root=flags["seccomp_profile_root"],
        seccomp_listeners=flags["seccomp_listeners"],
        nvidia_gpu_devices=flags["nvidia_gpu_devices"],
        enforce_container_ports=flags["enforce_container_ports"],
        container_ports_watch_interval=flags["container_ports_watch_interval"],
        cni_config_dirs=flags["network_cni_config_dir"],
        cni_plugins_dirs=flags["network_cni_plugins_dir"],
        enforce_container_disk_quota=flags["enforce_container_disk_quota"],
        container_disk_watch_interval=flags["container_disk_watch_interval"],
        host_path_volume_allowed=flags["host_path_volume_allowed"],
        host_path_volume_force_creation=flags["host_path_volume_force_creation"],
        xfs_project_range=flags["xfs_project_range"],
        xfs_kill_containers=flags["xfs_kill_containers"],
        xfs_quota_headroom=flags["xfs_quota_headroom"],
        net_cls_primary_handle=flags["cgroups_net_cls_primary_handle"],
        net_cls_secondary_handles=flags["cgroups_net_cls_secondary_handles"],
        perf_events=flags["perf_events"],
        cdi_spec_dirs=flags["cdi_spec_dirs"],
        hooks_dirs=flags["hooks_dir"],
        docker_plugins_dirs=flags["docker_plugins_dirs"],
        docker_volume_timeout=flags["docker_volume_timeout"],
        dvdcli=flags["dvdcli"],
        csi_plugin_config_dir=flags["csi_plugin_config_dir"],
        csi_timeout=flags["csi_timeout"],
        secret_resolver=flags["secret_resolver"],
        secrets_dir=flags["secrets_dir"],
        secret_command=flags["secret_command"],
    )


def _server_settings(flags: Flags) -> ServerSettings:
    asked: dict[str, Any] = {"hostname": flags["hostname"]} if flags["hostname"] else {}
    return ServerSettings(
        acls=Acls.load(flags["acls"]) if flags["acls"] else Acls(),
        max_request_size=flags["max_request_size"],
        max_requests=flags["max_requests"],
        request_timeout=flags["request_timeout"],
        heartbeat=flags["http_heartbeat_interval"],
        ui=flags["ui"],
        log_file=os.path.abspath(flags["log_file"]) if flags["log_file"] else None,
        flags={name: _shown(flags[name]) for name in TABLE if flags[name] is not None},
        **asked,
    )


async def _listen(runner: web.AppRunner, flags: Flags, paths: Paths) -> None:
    """Raises InvalidRequest, CannotListen."""
    for where in flags["listen"] or (f"unix:{os.path.join(paths.state, SOCKET)}",):
        kind, _, address = where.partition(":")
        if kind == "unix" and address:
            listener = unix(address, flags["socket_mode"])
            site: web.BaseSite = web.SockSite(runner, listener, backlog=BACKLOG)
        elif kind == "tcp" and address:
            tls = _tls(flags)
            bounds = {"most": flags["max_connections"], "patience": flags["request_timeout"]}
            site = TcpSite(runner, tcp(address), tls.context(), **bounds)
        else:
            raise InvalidRequest(f"invalid address {where!r}", hint="write unix:PATH or tcp:HOST:PORT")
        await site.start()
        _log.info("listening at %s", where)


def _tls(flags: Flags) -> Tls:
    if not flags["tls_cert_file"] or not flags["tls_key_file"]:
        hint = "give --tls-cert-file and --tls-key-file, or listen at a Unix socket"
        raise InvalidRequest("the agent listens at TCP with TLS only", hint=hint)
    if not flags["http_credentials"] and not flags["tls_ca_file"]:
        hint = "give --http-credentials or --tls-ca-file"
        raise InvalidRequest("the agent listens at TCP only if it can know who asks", hint=hint)
    return Tls(
        certificate=flags["tls_cert_file"], key=flags["tls_key_file"], authorities=flags["tls_ca_file"]
    )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _allow_descriptors() -> None:
    """A container takes a few, and the default soft limit is for programs that use select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _write_log(event: Event) -> None:
    level = logging.WARNING if event.kind.endswith("failed") else logging.INFO
    if not _log.isEnabledFor(level):
        return
    details = "".join(f" {name}={value}" for name, value in event.details.items())
    _log.log(level, "%s %s%s", event.kind, event.subject, details)


def _notify(message: str) -> None:
    """Tell systemd, if it has started us: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
            notifier.sendto(message.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
