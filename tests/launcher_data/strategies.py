"""Arbitrary launch data, for the property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from launcher.launch_info import Capabilities, FileOperation, LaunchInfo, Mount

# Not only ASCII: arguments and variables are whatever an image says.
words = st.text(max_size=8)
paths = words.map(lambda word: f"/{word}")
tuples = st.lists(words, max_size=3, unique=True).map(tuple)
mappings = st.dictionaries(words, words, max_size=3)

mounts = st.builds(
    Mount,
    target=paths,
    fstype=st.sampled_from(["bind", "proc", "tmpfs", "overlay"]),
    source=words,
    flags=tuples,
    options=st.lists(st.tuples(words, words), max_size=3).map(tuple),
    populate=st.booleans(),
)
operations = st.builds(
    FileOperation,
    kind=st.sampled_from(["symlink", "write"]),
    path=paths,
    content=words,
    mode=st.integers(0, 0o7777),
)
capabilities = st.builds(
    Capabilities, bounding=tuples, effective=tuples, permitted=tuples, inheritable=tuples, ambient=tuples
)

# One strategy a field; test_launch_info.py checks that none is missing.
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "argv": st.none() | tuples,
    "environment": mappings,
    "working_directory": st.none() | paths,
    "user": st.none() | words,
    "stop_signal": st.none() | words,
    "namespaces": mappings,
    "hostname": st.none() | words,
    "interfaces_up": tuples,
    "cgroups_v1": tuples,
    "cgroup_v2": st.none() | paths,
    "rootfs": st.none() | paths,
    "rootfs_mounts": st.lists(mounts, max_size=2, unique=True).map(tuple),
    "mounts": st.lists(mounts, max_size=3, unique_by=lambda mount: mount.target).map(tuple),
    "file_operations": st.lists(operations, max_size=2, unique=True).map(tuple),
    "masked_paths": tuples,
    "readonly_paths": tuples,
    "readonly_rootfs": st.none() | st.booleans(),
    "capabilities": st.none() | capabilities,
    "no_new_privileges": st.none() | st.booleans(),
}

launch_infos = st.builds(LaunchInfo, **FIELDS)
