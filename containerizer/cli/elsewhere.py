"""What docker and podman have and is otherwise here: imported only to say so."""

from __future__ import annotations

# Words that docker and podman have, and what to say here instead.
COMMANDS = {
    "version": "it is `containerizer --version`",
    "help": "it is `containerizer --help`, or `containerizer COMMAND --help`",
    "search": "`pull` takes names from whichever registry; none is searched",
    "info": "`containerizer doctor` tells of the host, `isolators` of what can be had",
    "container": "containers need no such word: `ps`, `rm`, `inspect` …",
    "image": "it is `images`, `pull`, `rmi`, `inspect`",
    "system": "it is `prune`, `events`, `doctor`",
    "create": "`run` makes a container and starts it; there is none that waits",
    "start": "what has ended is not started again: `run` makes a new one",
    "restart": "what has ended is not started again: `run` makes a new one",
    "rename": "a container keeps its name: `run --name`",
    "build": "images are built by others (buildah, kaniko); `commit` makes one of a container",
    "export": "`cp CONTAINER:/. -` writes its files as a tar stream",
    "push": "`save` writes an archive, which skopeo copies to a registry",
    "tag": "`load --tag` names an image",
    "history": "`inspect IMAGE` shows its layers and configuration",
    "compose": "several containers that belong together are a pod: `pod run FILE.yaml`",
    "secret": "secrets are named where they are used: `run --secret`",
}

# Options of `run`.
OPTIONS = {
    "--restart": "what has ended is not started again; a pod with a restartPolicy is",
    "--label": "containers have no labels: choose a --name",
    "-l": "containers have no labels: choose a --name",
    "--log-driver": "with -d or -t there is a log, which `logs` shows",
    "--log-opt": "with -d or -t there is a log, rotated at 10 MB, which `logs` shows",
    "--cidfile": "`run -d` prints the name, and --name chooses it",
    "--group-add": "-u USER:GROUP is one user and one group",
    "-P": "name the ports: -p HOST:CONTAINER",
    "--publish-all": "name the ports: -p HOST:CONTAINER",
    "--link": "containers in one --network find each other by name",
}
