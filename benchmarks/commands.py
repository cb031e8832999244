"""How long commands take that only tell something: `make bench-commands`.

Each is a process of its own, in turns with the bare interpreter, so that whatever else the machine does
meets them all alike. The aim for `--help` and `ps`: 80 ms, or 2.5 × the interpreter, whichever is more.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 30
COMMANDS = {
    "the bare interpreter": ["-c", "pass"],
    "--help": ["--help"],
    "run --help": ["run", "--help"],
    "ps": ["ps"],
    "images": ["images"],
    "complete -- run --me": ["complete", "--", "run", "--me"],
}


def main() -> None:
    program = Path(sys.executable).with_name("containerizer")
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as directory:
        places = ["--root", f"{directory}/root", "--state", f"{directory}/state"]
        for _ in range(ROUNDS):
            for name, arguments in COMMANDS.items():
                bare = name == "the bare interpreter"
                argv = [sys.executable, *arguments] if bare else [str(program), *places, *arguments]
                started = time.perf_counter()
                subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
                taken[name].append(time.perf_counter() - started)
    bare_time = statistics.median(taken["the bare interpreter"])
    print("| command | median | × the interpreter |\n| --- | ---: | ---: |")
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"| `{name}` | {median * 1000:.1f} ms | {median / bare_time:.1f} |")


if __name__ == "__main__":
    main()
