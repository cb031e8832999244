"""`python -m containerizer`: the command, also where its script is not installed."""

from __future__ import annotations

import sys

from containerizer.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
