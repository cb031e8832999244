"""A CNI plug-in that writes down how it is called, and answers as its configuration says.

It stands for plug-ins of others (Calico's, Weave's): what they are owed is what is written here. The
configuration's own keys, all optional:

    log       the file that gets a line of JSON for each call
    results   command → what is written to standard output, an object or text
    codes     command → exit code
    hangs     commands that never end, in a process of their own
    supports  the answer to VERSION
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def install(directory: Path, *names: str) -> Path:
    """Have it in a directory for plug-ins, under these names."""
    directory.mkdir(exist_ok=True)
    for name in names:
        path = directory / name
        path.write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text()}")
        path.chmod(0o755)
    return directory


def calls(log: Path) -> list[dict[str, Any]]:
    """Each call: `command`, `environment` (of CNI's variables), `config`."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def main() -> None:
    config = json.load(sys.stdin)
    command = os.environ["CNI_COMMAND"]
    environment = {name: value for name, value in os.environ.items() if name.startswith("CNI_")}
    if "log" in config:
        line = json.dumps({"command": command, "environment": environment, "config": config})
        with open(config["log"], "a") as log:
            log.write(f"{line}\n")
    if command in config.get("hangs", ()):
        if os.fork() == 0:
            os.execv("/bin/sleep", ["sleep", "1000"])
        os.wait()
    if command == "VERSION":
        versions = config.get("supports", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
        answer: Any = {"cniVersion": config["cniVersion"], "supportedVersions": versions}
    else:
        answer = config.get("results", {}).get(command, _result(config) if command == "ADD" else "")
    sys.stdout.write(answer if isinstance(answer, str) else json.dumps(answer))
    sys.stdout.flush()
    sys.exit(config.get("codes", {}).get(command, 0))


def _result(config: Mapping[str, Any]) -> Any:
    return config.get("prevResult") or {
        "cniVersion": config["cniVersion"],
        "interfaces": [{"name": os.environ["CNI_IFNAME"], "sandbox": os.environ["CNI_NETNS"]}],
        "ips": [{"address": "10.7.0.2/24", "gateway": "10.7.0.1", "interface": 0}],
        "dns": {"nameservers": ["10.7.0.1"], "search": ["weave.local"]},
    }


if __name__ == "__main__":
    main()
