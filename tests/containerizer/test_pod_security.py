"""Pods: profiles and labels that their manifests name."""

from __future__ import annotations

import pytest

from containerizer.pods import requests
from containerizer.pods.document import InvalidManifest
from containerizer.pods.manifest import parse
from tests.containerizer.test_pod_manifest import _pod


def _localhost(name: str) -> dict[str, object]:
    return {"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": name}}}


def test_profiles_and_labels_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = {"appArmorProfile": {"type": "Localhost", "localhostProfile": "mine"}}
    label = {"seLinuxOptions": {"level": "s0:c1,c2"}}
    for has, expected in ((True, "system_u:system_r:container_t:s0:c1,c2"), (False, None)):
        monkeypatch.setattr("launcher.kernel.labels.has_selinux", lambda has=has: has)
        pod = parse(_pod(_localhost("profiles/a.json"), securityContext={**profiles, **label}))
        config = requests.container(pod, pod.containers[0], {}).config
        assert (config.seccomp, config.apparmor) == ("localhost/profiles/a.json", "mine")
        assert config.selinux == expected
    own = parse(
        _pod({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, securityContext=profiles)
    )
    assert requests.container(own, own.containers[0], {}).config.apparmor == "unconfined"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_pod({"securityContext": {"seccompProfile": {"type": "Localhost"}}}), "localhostProfile is missing"),
        (
            _pod(_localhost("/etc/x")),
            "seccompProfile.localhostProfile is '/etc/x', which is no relative path",
        ),
        (_pod(_localhost("a/../../x")), "seccompProfile.localhostProfile is 'a/../../x', which has a '..'"),
        (
            _pod({"securityContext": {"seccompProfile": {"type": "Unconfined", "localhostProfile": "a"}}}),
            "seccompProfile.localhostProfile is not supported",
        ),
    ],
)
def test_refused(text: bytes, says: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        parse(text)
    assert says in str(caught.value)
