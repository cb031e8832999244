"""network/cni: networks by CNI plug-ins, and those of our own: an address for each container in each.

A container that asks for networks has a network namespace of its own and an interface in it for each,
eth0 first, made from outside while the child is blocked. The namespace is kept by a mount until all is
taken back. What has to be taken back is written down before it is made: attachments.py.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any

from isolators import ownership
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, Need, hostname_of, shares
from isolators.linux import granted
from isolators.network import attachments, capabilities, facts, files, namespace, published
from isolators.network.attachments import Attached, Attachment
from isolators.network.bridge import definitions
from isolators.network.chain import Chain, is_ours
from isolators.network.config_list import ConfigList
from isolators.network.places import Places
from isolators.network.plugin import TIMEOUT, Call, PluginFailed
from isolators.resources import Usage
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import process
from launcher.kernel.boot import boot_id
from launcher.kernel.capabilities import STATUS
from launcher.launch_info import LaunchInfo

_ADMIN = "CAP_NET_ADMIN"


class NetworkFailed(ContainerizerError):
    """A container could not join a network, or leave it."""


class NetworkCni(Isolator):
    name = "network/cni"
    enforces = frozenset({"networks"})
    needs = (
        Need(
            "network namespaces",
            lambda: os.path.exists("/proc/self/ns/net"),
            "use a kernel with CONFIG_NET_NS",
        ),
        Need(
            "permission to change its network",
            lambda: not process.is_rootless(),
            "run it with sudo, or with --network host: devices and rules of the host are root's",
            optional=True,  # an ordinary user does without
        ),
    )

    def __init__(self, flags: IsolatorFlags, timeout: float = TIMEOUT) -> None:
        super().__init__(flags)
        self.places = Places(flags.networks, flags.networks_state)
        self._timeout = timeout

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if not config.networks.names:
            return LaunchInfo()
        if not self.places.is_swept(boot_id()):
            from isolators.network import garbage  # once a boot

            garbage.after_reboot(self)
        if definitions.DEFAULT in config.networks.names:
            definitions.ensure_default(self.places, self.flags.cni_config_dirs)
        info = self.contribute(container_id, config)
        os.makedirs(self.places.attached(), mode=0o700, exist_ok=True)
        attached = attachments.load(self.places, container_id)
        if attached is not None and not attached.is_of_this_boot:
            attached.orphan(self.places)  # it could not be taken back, and nothing of it is this container's
            attached = None
        if attached is None:
            with self.places.locked():
                self._begin(container_id, config)
        files.make(config.sandbox)
        return info

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if not config.networks.names:
            return LaunchInfo()
        if shares("net", config):
            hint = "name networks, or another network namespace"
            raise InvalidRequest("a container in another network namespace joins no networks", hint=hint)
        networks = self._networks(config)
        capabilities.of_each(networks, config.networks)
        for network in networks:
            self.chain(network).check_installed()
            if network.name in config.networks.plugin_args and is_ours(network):
                hint = "they are for networks of CNI plug-ins that know them"
                raise InvalidRequest(f"network {network.name} has no groups and labels", hint=hint)
        return files.launch_info(config)

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        attached = attachments.load(self.places, container_id)
        if attached is None or not attached.is_of_this_boot:
            return
        path = self.places.namespace(attached.id)
        namespace.pin(pid, path)
        if attached.request.ports:
            published.hold(self.places, attached, pid, ownership.holder(self.flags, container_id))
        for index, attachment in enumerate(attached.attachments):
            if attachment.result is None:
                attached = self._add(attached, index)
        files.write(attached)

    def usage(self, container_id: ContainerId) -> Usage:
        attached = attachments.load(self.places, container_id)
        path = self.places.namespace(attached.id) if attached else ""
        if not attached or not namespace.is_pinned(path):
            return Usage()
        from isolators.network import traffic  # what a launch does not need

        return traffic.of_all(path, [each.interface for each in attached.attachments])

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        attached = attachments.load(self.places, container_id)
        return {} if attached is None else facts.of(attached)

    def cleanup(self, container_id: ContainerId) -> None:
        attached = attachments.load(self.places, container_id)
        if attached is not None:
            self.detach(attached)

    def verify(self, container_id: ContainerId) -> None:
        """Ask the plug-ins whether all is as they made it (CHECK). Raises NetworkFailed."""
        attached = attachments.load(self.places, container_id)
        if attached is None:
            raise NetworkFailed(f"container {container_id} is in no network of plug-ins or of ours")
        for each in attached.attachments:
            what = f"container {container_id} has lost what it had in network {each.network.name}"
            with self._failing(what), self.places.locked():
                if each.result is None:
                    raise PluginFailed("it was never added")
                call = replace(self._call(attached), interface=each.interface)
                chain = self.chain(each.network, attached.directories)
                chain.check(call, each.version, each.capabilities, each.result)

    def detach(self, attached: Attached) -> list[NetworkFailed]:
        """Take back all that a container was given. Raises NetworkFailed; then it can be tried again.

        A plug-in that has failed to add it, and now fails to remove it, does not keep it from going: what
        may be left of it is for the next who collects garbage. Such failures are returned.
        """
        failures = []
        call = self._call(attached)
        for index in reversed(range(len(attached.attachments))):
            each = attached.attachments[index]
            if not each.version:  # nothing has been asked of a plug-in
                continue
            try:
                self._delete(attached, each, call)
            except NetworkFailed as error:
                if each.result is not None:
                    raise
                failures.append(error)
                continue
            attached = attached.with_attachment(index, version="", result=None)
            if index:  # or else the whole record goes
                attached.save(self.places)
        namespace.unpin(self.places.namespace(attached.id))
        published.release(self.places, attached.id)
        if failures:
            attached.orphan(self.places)
        else:
            attached.remove(self.places)
        return failures

    def chain(self, network: ConfigList, directories: tuple[str, ...] | None = None) -> Chain:
        return Chain(network, directories or self.flags.cni_plugins_dirs, self._timeout, self.places)

    # How ---------------------------------------------------------------------------------------

    def _networks(self, config: ContainerConfig) -> list[ConfigList]:
        directories = self.flags.cni_config_dirs
        found = [definitions.find(self.places, directories, name) for name in config.networks.names]
        args = config.networks.plugin_args
        return [each.with_args(args[each.name]) if each.name in args else each for each in found]

    @functools.cached_property
    def _bounds(self) -> granted.Bounds:
        return granted.Bounds.of(self.flags, STATUS)

    def _begin(self, container_id: ContainerId, config: ContainerConfig) -> None:
        """Write down what will be made. Raises InvalidRequest for ports that others have."""
        networks = self._networks(config)
        id_ = attachments.new_id(container_id)
        hosts = (*config.networks.extra_hosts, *((name, address) for address, name in config.hosts))
        request = published.take(self.places, id_, replace(config.networks, extra_hosts=hosts))
        hostname = hostname_of(container_id, config)
        admin = _ADMIN in granted.granted(config, self._bounds)
        told = capabilities.of_each(networks, request, names=(container_id.name, hostname), net_admin=admin)
        attached = Attached(
            container=str(container_id),
            id=id_,
            boot=boot_id(),
            directories=self.flags.cni_plugins_dirs,
            sandbox=config.sandbox,
            state=self.places.state,
            hostname=hostname,
            request=request,
            attachments=tuple(
                Attachment(
                    interface=f"eth{index}",
                    network=network,
                    version=network.versions[0] if len(network.versions) == 1 else "",
                    capabilities=told[index],
                )
                for index, network in enumerate(networks)
            ),
        )
        attached.save(self.places)

    def _call(self, attached: Attached) -> Call:
        path = self.places.namespace(attached.id)
        return Call(
            command="",
            container_id=attached.id,
            netns=path if namespace.is_pinned(path) else "",
            arguments=";".join(["IgnoreUnknown=1", *map("=".join, attached.request.arguments)]),
        )

    def _add(self, attached: Attached, index: int) -> Attached:
        each = attached.attachments[index]
        chain = self.chain(each.network, attached.directories)
        with self._failing(f"cannot add container {attached.container} to network {each.network.name}"):
            if not each.version:
                attached = attached.with_attachment(index, version=chain.version())
                attached.save(self.places)
                each = attached.attachments[index]
            call = replace(self._call(attached), interface=each.interface)
            with self.places.locked():
                added = chain.add(call, each.version, each.capabilities)
        attached = attached.with_attachment(index, result=added)
        attached.save(self.places)
        return attached

    def _delete(self, attached: Attached, each: Attachment, call: Call) -> None:
        chain = self.chain(each.network, attached.directories)
        call = replace(call, interface=each.interface)
        with (
            self._failing(f"cannot remove container {attached.container} from network {each.network.name}"),
            self.places.locked(),
        ):
            chain.delete(call, each.version, each.capabilities, each.result)

    @contextlib.contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except PluginFailed as error:
            raise NetworkFailed(f"{what}: {error.message}", hint=error.hint) from error
