"""Arbitrary launch data, for the property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from launcher.launch_info import (
    Capabilities,
    FileOperation,
    Hook,
    IdMapping,
    LaunchInfo,
    MemoryFile,
    Mount,
    Owners,
    SeccompListener,
)
from launcher.process_attributes import (
    CpuAffinity,
    IoPriority,
    Nice,
    OomScoreAdj,
    Policy,
    Rlimit,
    Scheduler,
)

# Not only ASCII: arguments and variables are whatever an image says.
words = st.text(max_size=8)
paths = words.map(lambda word: f"/{word}")
tuples = st.lists(words, max_size=3, unique=True).map(tuple)
mappings = st.dictionaries(words, words, max_size=3)

ranges = st.lists(st.builds(IdMapping, *[st.integers(0, 2**32)] * 3), max_size=2, unique=True).map(tuple)
mounts = st.builds(
    Mount,
    target=paths,
    fstype=st.sampled_from(["bind", "proc", "tmpfs", "overlay"]),
    source=words,
    flags=tuples,
    options=st.lists(st.tuples(words, words), max_size=3).map(tuple),
    top_flags=tuples,
    propagation=st.sampled_from(["", "slave", "shared"]),
    owners=st.none() | st.builds(Owners, uids=ranges, gids=ranges, relative=st.booleans()),
    populate=st.booleans(),
    file=st.none() | st.builds(MemoryFile, content=words, mode=st.integers(0, 0o777)),
    once=words,
    chown=st.booleans(),
)
operations = st.builds(
    FileOperation,
    kind=st.sampled_from(["symlink", "write"]),
    path=paths,
    content=words,
    mode=st.integers(0, 0o7777),
)
hooks = st.builds(
    Hook,
    point=words,
    path=paths,
    argv=tuples,
    environment=tuples,
    timeout=st.none() | st.integers(1, 99),
)
capabilities = st.builds(
    Capabilities, bounding=tuples, effective=tuples, permitted=tuples, inheritable=tuples, ambient=tuples
)

policies = st.sampled_from(Policy)
rlimits = st.tuples(st.integers(0, 9), st.none() | st.integers(9, 2**63 - 1), policies).map(
    lambda values: Rlimit(soft=values[0], hard=values[1], policy=values[2])
)
unlimited = st.builds(Rlimit, soft=st.none(), hard=st.none(), policy=policies)
schedulers = st.builds(Scheduler, name=st.just("fifo"), priority=st.integers(1, 99), policy=policies)
io_priorities = st.builds(IoPriority, name=st.just("realtime"), level=st.integers(0, 7), policy=policies)
affinities = st.builds(CpuAffinity, cpus=st.just((0, 3)), policy=policies)
id_maps = ranges

# One strategy a field; test_launch_info.py checks that none is missing.
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "argv": st.none() | tuples,
    "environment": mappings,
    "secret_environment": mappings,
    "search_paths": mappings,
    "environment_edits": mappings,
    "hooks": st.lists(hooks, max_size=2, unique=True).map(tuple),
    "bundle": st.none() | paths,
    "additional_gids": st.lists(st.integers(0, 2**32), max_size=2, unique=True).map(tuple),
    "working_directory": st.none() | paths,
    "user": st.none() | words,
    "stop_signal": st.none() | words,
    "init": st.none() | st.booleans(),
    "pause": st.none() | st.booleans(),
    "image_groups": st.none() | st.booleans(),
    "namespaces": mappings,
    "uid_map": st.none() | id_maps,
    "gid_map": st.none() | id_maps,
    "idmapped_paths": tuples,
    "time_offsets": st.dictionaries(words, st.integers(), max_size=2),
    "hostname": st.none() | words,
    "interfaces_up": tuples,
    "cgroups_v1": tuples,
    "cgroup_v2": st.none() | paths,
    "devices": tuples,
    "rootfs": st.none() | paths,
    "rootfs_mounts": st.lists(mounts, max_size=2, unique=True).map(tuple),
    "mounts": st.lists(mounts, max_size=3, unique_by=lambda mount: mount.target).map(tuple),
    "file_operations": st.lists(operations, max_size=2, unique=True).map(tuple),
    "masked_paths": tuples,
    "readonly_paths": tuples,
    "readonly_rootfs": st.none() | st.booleans(),
    "capabilities": st.none() | capabilities,
    "no_new_privileges": st.none() | st.booleans(),
    "seccomp": st.none() | words,
    "seccomp_flags": st.none() | st.integers(1, 63),
    "seccomp_listener": st.none() | st.builds(SeccompListener, path=paths, metadata=st.none() | words),
    "apparmor": st.none() | words,
    "selinux": st.none() | words,
    "rlimits": st.dictionaries(words, rlimits | unlimited, max_size=2),
    "oom_score_adj": st.none() | st.builds(OomScoreAdj, value=st.integers(-1000, 1000), policy=policies),
    "nice": st.none() | st.builds(Nice, value=st.integers(-20, 19), policy=policies),
    "scheduler": st.none() | schedulers,
    "io_priority": st.none() | io_priorities,
    "cpu_affinity": st.none() | affinities,
    "umask": st.none() | st.integers(0, 0o777),
    "personality": st.none() | words,
    "sysctls": mappings,
}

launch_infos = st.builds(LaunchInfo, **FIELDS)
