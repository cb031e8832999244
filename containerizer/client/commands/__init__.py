"""The commands that work on an agent's containers: `containerizer --agent URL COMMAND`.

Each is a file of the name of its command, and takes the options of the local one as far as they make
sense from afar. Secrets come from the environment, where no other user reads them.
"""

from __future__ import annotations

import argparse
import os

from containerizer.client.client import AgentClient
from containerizer.client.transport import Credentials


def client_of(arguments: argparse.Namespace) -> AgentClient:
    """For --agent. CONTAINERIZER_AGENT_TOKEN, or _USER and _PASSWORD, say who asks; _CA, _CERT and _KEY
    name PEM files. Raises InvalidRequest.
    """
    names = {"token": "TOKEN", "user": "USER", "authority": "CA", "certificate": "CERT", "key": "KEY"}
    given = {field: os.environ.get(f"CONTAINERIZER_AGENT_{name}") for field, name in names.items()}
    password = os.environ.get("CONTAINERIZER_AGENT_PASSWORD", "")
    return AgentClient(arguments.agent, Credentials(password=password, **given))
