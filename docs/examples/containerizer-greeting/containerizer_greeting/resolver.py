"""A resolver of secrets: its vault is a file of NAME=VALUE lines, where CONTAINERIZER_VAULT says."""

from __future__ import annotations

import os

from isolators.secret_resolvers import Resolver, SecretUnavailable


class Vault(Resolver):
    def resolve(self, name: str, key: str | None) -> bytes:
        """Called at each launch. Messages are for people: a value is in none."""
        wanted = name if key is None else f"{name}.{key}"
        with open(os.environ["CONTAINERIZER_VAULT"], encoding="utf-8") as file:
            for line in file:
                found, _, value = line.rstrip("\n").partition("=")
                if found == wanted:
                    return value.encode()
        raise SecretUnavailable(f"the vault has no {wanted}")
