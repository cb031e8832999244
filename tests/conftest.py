"""Hooks and fixtures of every test: what it needs of the host, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator

import hypothesis
import pytest

from tests import leaks, requires

# Nothing is written to disk, and a slow machine fails nothing. CI runs the same examples each time.
hypothesis.settings.register_profile(
    "house", database=None, deadline=None, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    needs = ", ".join(requires.NEEDS)
    # A shell has its background jobs ignore it, and what they start too: tests of Ctrl-C would wait forever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", f"requires(*needs): what the test needs of the host, of {needs}")
    try:
        requires.mandatory(os.environ)
    except requires.UnknownNeed as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        unknown = set(_needs(item)) - set(requires.NEEDS)
        if unknown:
            raise pytest.UsageError(f"{item.nodeid} requires {', '.join(sorted(unknown))}, which is no need")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for need in _needs(item):
        reason = requires.missing(need)
        if reason and need in requires.mandatory(os.environ):
            pytest.fail(f"{need} is mandatory here ({requires.ENVIRONMENT}): {reason}", pytrace=False)
        if reason:
            pytest.skip(f"needs {need}: {reason}")


def _needs(item: pytest.Item) -> list[str]:
    return [need for mark in item.iter_markers("requires") for need in mark.args]


@pytest.fixture(scope="session", autouse=True)
def alone() -> Iterator[leaks.Alone]:
    """True while no other session of these tests runs on the host.

    Autouse and of the widest scope, so set up first and torn down last: what fixtures of the whole
    session leave behind is found here.
    """
    leaks.become_subreaper()
    lock = leaks.Alone()
    before = leaks.take()
    yield lock
    _fail_on_leaks(before, lock)
    lock.close()


@pytest.fixture(autouse=True)
def nothing_left_behind(alone: leaks.Alone) -> Iterator[None]:
    """Fails the test that leaves something behind.

    Of the narrowest scope: fixtures of a module or the session are set up before the snapshot.
    """
    before = leaks.take()
    yield
    _fail_on_leaks(before, alone)


def _fail_on_leaks(before: leaks.Snapshot, alone: leaks.Alone) -> None:
    found = leaks.leaked(before)
    leaks.end(found)
    host = found.host
    if host and not alone:
        warnings.warn(f"left behind by this or by another test session: {', '.join(host)}", stacklevel=1)
        host = ()
    elif host:  # alone now; what another session had then is gone with it
        host = leaks.leaked(before).host
    if found.own or host:
        pytest.fail("left behind: " + "; ".join([*found.own, *host]), pytrace=False)
