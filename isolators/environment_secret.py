"""environment_secret: variables whose values are secrets that a resolver has, asked at each launch.

Those that the request has the values of itself (`ContainerConfig.secret_environment`) need no isolator.
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo


class EnvironmentSecret(Isolator):
    name = "environment_secret"
    enforces = frozenset({"environment_secrets"})
    launchers = ("linux", "posix")
    prepares_what_is_asked = True

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        info = self.contribute(container_id, config)
        if not config.environment_secrets:
            return info
        from isolators import secret_resolvers, secrets  # for those who have some

        values = {
            name: secrets.variable(secret_resolvers.resolve(reference, self.flags), name)
            for name, reference in config.environment_secrets.items()
        }
        return LaunchInfo(secret_environment=values)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """Without the values: nobody is to be asked for them in a dry run."""
        for name in config.environment_secrets:
            if not name or "=" in name or "\0" in name:
                raise InvalidRequest(f"invalid name of a secret variable {name!r}")
            if name in config.secret_environment:
                raise InvalidRequest(f"the variable {name} has two secrets", hint="name it once")
        return LaunchInfo(secret_environment=dict.fromkeys(config.environment_secrets, ""))
