"""An example or two of each command, as `--help`, the manual pages and the reference show them."""

from __future__ import annotations

from collections.abc import Mapping

# Each line is a command line of its own, and what it is for.
EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "run": (
        ("run --rm -it busybox sh", "a shell in a container that is gone afterwards"),
        ("run -d --name web -m 64m --cpus 0.5 --network bridge -p 8080:80 httpd", "a limited server"),
    ),
    "exec": (("exec -it web sh", "a shell in a container that runs"),),
    "debug": (("debug -it --image busybox web", "with tools that its own image lacks"),),
    "ps": (
        ("ps -a --tree", "all there are, as they are in each other"),
        ("ps --format 'table {{.id}}\\t{{.image}}' --filter status=running", "what a script wants"),
    ),
    "attach": (("attach --no-stdin web", "watch only"),),
    "logs": (("logs -f --since 10m web db", "of two, from ten minutes ago on"),),
    "top": (("top web", "its processes, as the host and as it sees them"),),
    "stats": (("stats --no-stream --json", "one look, for a program"),),
    "events": (("events --filter container=web", "what happens to one, and to those in it"),),
    "inspect": (("inspect --format '{{.state}} {{json .limits}}' web", "two things of it"),),
    "diff": (("diff web", "the files that it has changed"),),
    "port": (("port web 80", "where a port of it is published"),),
    "update": (("update -m 128m --cpus 1 web", "other limits, at once"),),
    "cp": (("cp web:/etc/hosts .", "a file out of it"), ("cp ./site web:/srv", "a directory into it")),
    "kill": (("kill -s HUP web", "have it read its configuration again"),),
    "stop": (("stop -t 30 web db", "half a minute to end by themselves"),),
    "pod": (("pod run -d pod.yaml", "a pod that stays"), ("pod logs -f pod", "what it writes")),
    "network": (("network create --internal backend", "one with no way out"),),
    "volume": (
        ("volume create --label for=db data", "a place that outlives containers"),
        ("volume prune", "those that no container uses"),
    ),
    "healthcheck": (("healthcheck --http 8080/ready web", "does it answer?"),),
    "wait": (("wait web", "its exit code, once it has one"),),
    "pause": (("pause web", "it uses no CPU until `unpause`"),),
    "unpause": (("unpause web", "it goes on"),),
    "rm": (("rm -f web", "whatever it is doing"),),
    "pull": (("pull busybox:1.36 oci:./image:v1", "from a registry, and from a directory"),),
    "login": (("login -u me registry.example.com", "the password is asked for"),),
    "logout": (("logout registry.example.com", "forget it"),),
    "images": (("images prune --older-than 7d", "those that no container has used for a week"),),
    "prune": (("prune --all --force", "all that no container uses, unasked"),),
    "rmi": (("rmi busybox:1.36", "its layers too, unless others have them"),),
    "load": (("load -i image.tar", "what docker, podman or we have saved"),),
    "import": (("import rootfs.tar.gz mine:v1", "an image of one layer"),),
    "save": (("save -o image.tar busybox", "for docker, podman and skopeo"),),
    "commit": (("commit -c 'CMD [\"sh\"]' web mine:v1", "an image of what it has written"),),
    "plan": (("plan -m 64m --read-only busybox", "each setting, and the isolator that gives it"),),
    "agent": (("agent --listen unix:/run/agent.sock --ui true", "serve, with a page for people"),),
    "credential": (("credential ops", "the secret comes from standard input"),),
    "isolators": (("isolators --format '{{.name}} {{.available}}'", "which of them this host can have"),),
    "doctor": (("doctor", "commands to paste, at its end"),),
    "completion": (("completion bash", "to be sourced: `source <(…)`"),),
}


def shown(command: str) -> str:
    """For the end of `--help`; "" for a command that has none."""
    found = EXAMPLES.get(command, ())
    lines = (f"  # {meaning}\n  containerizer {line}\n" for line, meaning in found)
    return "examples:\n" + "".join(lines) if found else ""
