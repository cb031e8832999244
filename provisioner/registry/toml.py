"""TOML files of the host: read whole, checked as they are asked, every error with its file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

from provisioner.errors import RegistryConfigurationError

_T = TypeVar("_T")


class Table:
    """A table of a file. Its getters raise RegistryConfigurationError for another type."""

    def __init__(self, path: str, value: Mapping[str, Any], where: str = "") -> None:
        self.path = path
        self.value = value
        self._where = where

    @classmethod
    def read(cls, path: str) -> Table | None:
        """None if there is no such file. Raises RegistryConfigurationError."""
        try:
            with open(path, "rb") as file:
                return cls(path, tomllib.load(file))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RegistryConfigurationError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise RegistryConfigurationError(f"{path} is not TOML: {error}") from error

    def text(self, key: str, default: str = "") -> str:
        return self._get(key, str, default)

    def flag(self, key: str, default: bool = False) -> bool:
        return self._get(key, bool, default)

    def texts(self, key: str) -> tuple[str, ...]:
        """A string, or an array of strings."""
        value = self.value.get(key, ())
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "has to be a string or an array of strings")
        return tuple(value)

    def table(self, key: str) -> Table:
        return Table(self.path, self._get(key, dict, {}), f"{self._where}{key}.")

    def tables(self, key: str) -> list[Table]:
        """An array of tables."""
        value = self._get(key, list, [])
        if not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, "has to be an array of tables")
        return [Table(self.path, item, f"{self._where}{key}.") for item in value]

    def beside(self, path: str) -> str:
        """A path that the file names: relative ones are beside it."""
        return os.path.join(os.path.dirname(self.path), path)

    def wrong(self, key: str, why: str) -> RegistryConfigurationError:
        return RegistryConfigurationError(f"{self.path}: {self._where}{key} {why}")

    def _get(self, key: str, kind: type[_T], default: _T) -> _T:
        value = self.value.get(key, default)
        if type(value) is not kind:
            raise self.wrong(key, f"has to be of type {kind.__name__}, not {type(value).__name__}")
        return value
