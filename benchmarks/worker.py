"""One of several processes that launch at once: says "ready", and at a line of input launches and ends.

python -m benchmarks.worker ROOT STATE IMAGE COUNT
"""

from __future__ import annotations

import sys

from containerizer import Containerizer


def main() -> None:
    root, state, image, count = sys.argv[1:]
    with Containerizer(root=root, state=state) as containerizer:

        def launch() -> None:
            container = containerizer.launch(image, ["true"], mem="64m", cpus=0.5, pids=20)
            container.wait()
            container.remove()

        launch()  # the fork server is there from here on
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(int(count)):
            launch()


if __name__ == "__main__":
    main()
