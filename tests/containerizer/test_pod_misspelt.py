"""A field of a pod's manifest that is misspelt: told before what is missing for it."""

from __future__ import annotations

import pytest

from containerizer.pods.manifest import InvalidManifest, parse

_HEAD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            _HEAD + "spec: {containers: [{name: c, imgae: i}]}",
            "spec.containers[0].imgae is not supported; did you mean image?",
        ),
        (
            _HEAD + "spec: {containers: [{nmae: c, image: i}]}",
            "spec.containers[0].nmae is not supported; did you mean name?",
        ),
        (
            _HEAD + "spec: {restartPolicies: Never, containers: [{name: c, image: i}]}",
            "spec.restartPolicies is not supported; did you mean restartPolicy?",
        ),
        ("apiVersion: v1\nkidn: Pod\n", "kind is missing; did you mean it by 'kidn'?"),
    ],
)
def test_what_is_misspelt_is_told_before_what_is_missing(text: str, told: str) -> None:
    with pytest.raises(InvalidManifest) as raised:
        parse(text.encode())
    assert str(raised.value) == told
