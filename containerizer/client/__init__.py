"""A client of the agent: its API as Python methods, over a Unix socket or TCP with TLS.

from containerizer.client import AgentClient

with AgentClient("unix:///run/containerizer/agent.sock") as agent:
    agent.launch(ContainerRequest.of("busybox", ["echo", "hello"], name="hello"))
    print(agent.wait("hello").exit_code)

client.py       the calls
transport.py    HTTP to a URL
encoding.py     a ContainerRequest as the API's message
bridge.py       attach to a container as if its supervisor were here
commands/       what the command line does with --agent
"""

from __future__ import annotations

from containerizer.client.client import AgentClient
from containerizer.client.transport import AgentFailed, AgentUnreachable, Credentials

__all__ = ["AgentClient", "AgentFailed", "AgentUnreachable", "Credentials"]
