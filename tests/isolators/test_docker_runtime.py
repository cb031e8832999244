from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from isolators.docker.runtime import DEFAULT_PATH, DockerRuntime, InvalidImageConfig
from isolators.isolator import IsolatorFlags
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, Mount
from launcher.signal_names import parse_signal, signal_name
from tests.isolators.support import CONFIG, WEB


def contribute(image: dict[str, Any] | None = None, **request: Any) -> LaunchInfo:
    fields = {"command": (), "image_config": image, **request}
    return DockerRuntime(IsolatorFlags()).contribute(WEB, replace(CONFIG, **fields))


@pytest.mark.parametrize(
    ("image", "entrypoint", "command", "argv"),
    [
        ({"Cmd": ["sh"]}, None, (), ("sh",)),
        ({"Cmd": ["sh"]}, None, ("ls", "-l"), ("ls", "-l")),
        ({"Entrypoint": ["run"], "Cmd": ["a"]}, None, (), ("run", "a")),
        ({"Entrypoint": ["run"], "Cmd": ["a"]}, None, ("b",), ("run", "b")),
        ({"Entrypoint": ["run"], "Cmd": ["a"]}, ("other",), (), ("other",)),
        ({"Entrypoint": ["run"], "Cmd": ["a"]}, ("other",), ("b",), ("other", "b")),
        ({"Entrypoint": ["run"], "Cmd": ["a"]}, (), ("b",), ("b",)),
        ({"Entrypoint": None, "Cmd": ["a"]}, None, (), ("a",)),
        (None, None, ("a",), ("a",)),
    ],
)
def test_argv(image: dict[str, Any], entrypoint: Any, command: Any, argv: tuple[str, ...]) -> None:
    assert contribute(image, entrypoint=entrypoint, command=command).argv == argv


@pytest.mark.parametrize(
    ("image", "entrypoint"), [({}, None), ({"Cmd": []}, None), ({"Cmd": ["sh"]}, ()), ({"Cmd": [""]}, None)]
)
def test_no_command(image: dict[str, Any], entrypoint: Any) -> None:
    with pytest.raises(InvalidRequest, match="image has no command"):
        contribute(image, entrypoint=entrypoint)


def test_environment_of_request_wins() -> None:
    image = {"Cmd": ["sh"], "Env": ["A=image", "B=image", "EMPTY=", "HOSTNAME=stale", "EQ=a=b"]}
    info = contribute(image, environment={"B": "request", "PATH": "/bin"})
    assert info.environment == {"PATH": "/bin", "A": "image", "B": "request", "EMPTY": "", "EQ": "a=b"}


def test_path_has_a_default() -> None:
    assert contribute({"Cmd": ["sh"]}).environment == {"PATH": DEFAULT_PATH}


@pytest.mark.parametrize("name", ["", "A=B"])
def test_invalid_variable_of_request(name: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid name of an environment variable"):
        contribute(command=("sh",), environment={name: "x"})


@pytest.mark.parametrize(
    ("image", "request_value", "expected"),
    [("", None, "/"), ("srv", None, "/srv"), ("/srv//a/..", None, "/srv"), ("/srv", "/tmp", "/tmp")],
)
def test_working_directory(image: str, request_value: str | None, expected: str) -> None:
    info = contribute({"Cmd": ["sh"], "WorkingDir": image}, working_directory=request_value)
    assert info.working_directory == expected


def test_working_directory_of_request_is_absolute() -> None:
    with pytest.raises(InvalidRequest, match="'srv' is not absolute"):
        contribute({"Cmd": ["sh"]}, working_directory="srv")


def test_host_image_works_in_its_sandbox() -> None:
    assert contribute(None, command=("sh",), rootfs=None).working_directory == CONFIG.sandbox


def test_user_and_stop_signal() -> None:
    image = {"Cmd": ["sh"], "User": "www:www", "StopSignal": "QUIT"}
    info = contribute(image)
    assert (info.user, info.stop_signal) == ("www:www", "SIGQUIT")
    info = contribute(image, user="0", stop_signal="9")
    assert (info.user, info.stop_signal) == ("0", "SIGKILL")
    info = contribute({"Cmd": ["sh"]})
    assert (info.user, info.stop_signal) == (None, "SIGTERM")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TERM", "SIGTERM"),
        ("sigterm", "SIGTERM"),
        ("15", "SIGTERM"),
        ("SIGRTMIN+3", "SIGRTMIN+3"),
        ("rtmin+3", "SIGRTMIN+3"),
        (str(signal.SIGRTMIN + 3), "SIGRTMIN+3"),
    ],
)
def test_signal_names(text: str, name: str) -> None:
    assert signal_name(parse_signal(text)) == name


@pytest.mark.parametrize("text", ["", "0", "65", "99999999999", "SIGNOTHING", "²", "-1"])
def test_unknown_signal(text: str) -> None:
    with pytest.raises(InvalidRequest, match="unknown signal"):
        parse_signal(text)


def test_volumes_are_directories_of_the_sandbox(tmp_path: Path) -> None:
    volumes: dict[str, Any] = {"/data": {}, "/data/": {}, "//var/lib/db": {}}
    sandbox = str(tmp_path)
    image = {"Cmd": ["sh"], "Volumes": volumes}
    config = replace(CONFIG, sandbox=sandbox, image_config=image)
    info = DockerRuntime(IsolatorFlags()).prepare(WEB, config)
    assert info.mounts == tuple(
        Mount(target=target, fstype="bind", source=f"{sandbox}/volumes/{n}", flags=("nodev",), populate=True)
        for n, target in enumerate(("/data", "/var/lib/db"))
    )
    assert sorted(path.name for path in (tmp_path / "volumes").iterdir()) == ["0", "1", "targets"]
    assert (tmp_path / "volumes" / "targets").read_bytes() == b"/data\0/var/lib/db"


@pytest.mark.parametrize(
    "target", ["data", "", "/", "//", "/a/../b", "/proc", "/proc/sys", "/sys/fs", "/dev", "/dev/shm", "/a\0b"]
)
def test_volume_in_a_bad_place(target: str) -> None:
    with pytest.raises(InvalidImageConfig, match="is not a place for a volume"):
        contribute({"Cmd": ["sh"], "Volumes": {target: {}}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Env", "A=1"),
        ("Env", [1]),
        ("Env", ["NOVALUE"]),
        ("Env", ["=x"]),
        ("Entrypoint", "sh -c"),
        ("Cmd", {"a": 1}),
        ("User", 1000),
        ("WorkingDir", ["/"]),
        ("Volumes", ["/data"]),
        ("StopSignal", 15),
    ],
)
def test_wrong_type_names_the_field(field: str, value: Any) -> None:
    with pytest.raises(InvalidImageConfig, match=field):
        contribute({"Cmd": ["sh"], field: value})


@pytest.mark.parametrize("image", [{"Cmd": ["a\0b"]}, {"Cmd": ["sh"], "Env": ["A=\0"]}])
def test_null_character_is_refused(image: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="null character"):
        contribute(image)


@pytest.mark.parametrize(
    "field",
    [{"Cmd": ["\ud800"]}, {"Env": ["A=\ud800"]}, {"WorkingDir": "/\ud800"}, {"Volumes": {"/\ud800": {}}}],
)
def test_half_a_surrogate_pair_is_refused(field: dict[str, Any]) -> None:
    """JSON has a way to write it, and no encoding of text has."""
    with pytest.raises(InvalidRequest, match="surrogate"):
        contribute({"Cmd": ["sh"]} | field)
