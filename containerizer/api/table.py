"""Which call is whose: one row a call of the API, in the order of their numbers.

A row says what the call has to carry, who handles it, and how it is answered: by one message or only
a status (ONE), by a stream of records (STREAM), or after a stream of records has come (INPUT).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from containerizer.api.handlers import (
    about,
    archives,
    attach_input,
    cluster,
    containers,
    files,
    images,
    logs,
    pods,
    streams,
    volumes,
)
from containerizer.api.proto.agent_pb2 import Call
from launcher.data import Data

ONE, STREAM, INPUT = "one", "stream", "input"


class Row(Data):
    """One call."""

    handler: Callable[..., Awaitable[Any]]
    carries: str | None = None  # the field of Call that must be present
    answer: str = ONE
    lists: bool = False  # containers: those only that whoever asks may know of


ROWS: Mapping[Any, Row] = {
    Call.GET_HEALTH: Row(about.get_health),
    Call.GET_FLAGS: Row(about.get_flags),
    Call.GET_VERSION: Row(about.get_version),
    Call.GET_METRICS: Row(about.get_metrics, "get_metrics"),
    Call.GET_LOGGING_LEVEL: Row(about.get_logging_level),
    Call.SET_LOGGING_LEVEL: Row(about.set_logging_level, "set_logging_level"),
    Call.LIST_FILES: Row(files.list_files, "list_files"),
    Call.READ_FILE: Row(files.read_file, "read_file"),
    Call.GET_STATE: Row(cluster.get_state, lists=True),
    Call.GET_CONTAINERS: Row(containers.get_containers, "get_containers", lists=True),
    Call.GET_FRAMEWORKS: Row(cluster.empty),
    Call.GET_EXECUTORS: Row(cluster.empty),
    Call.GET_TASKS: Row(cluster.empty),
    Call.LAUNCH_NESTED_CONTAINER: Row(containers.launch_nested_container, "launch_nested_container"),
    Call.WAIT_NESTED_CONTAINER: Row(containers.wait_nested_container, "wait_nested_container"),
    Call.KILL_NESTED_CONTAINER: Row(containers.kill_nested_container, "kill_nested_container"),
    Call.LAUNCH_NESTED_CONTAINER_SESSION: Row(
        streams.launch_nested_container_session, "launch_nested_container_session", STREAM
    ),
    Call.ATTACH_CONTAINER_INPUT: Row(attach_input.attach_container_input, "attach_container_input", INPUT),
    Call.ATTACH_CONTAINER_OUTPUT: Row(streams.attach_container_output, "attach_container_output", STREAM),
    Call.GET_AGENT: Row(about.get_agent),
    Call.REMOVE_NESTED_CONTAINER: Row(containers.remove_nested_container, "remove_nested_container"),
    Call.LAUNCH_CONTAINER: Row(containers.launch_container, "launch_container"),
    Call.WAIT_CONTAINER: Row(containers.wait_container, "wait_container"),
    Call.KILL_CONTAINER: Row(containers.kill_container, "kill_container"),
    Call.REMOVE_CONTAINER: Row(containers.remove_container, "remove_container"),
    Call.GET_RESOURCE_PROVIDERS: Row(cluster.empty),
    Call.ADD_RESOURCE_PROVIDER_CONFIG: Row(cluster.of_a_master),
    Call.UPDATE_RESOURCE_PROVIDER_CONFIG: Row(cluster.of_a_master),
    Call.REMOVE_RESOURCE_PROVIDER_CONFIG: Row(cluster.of_a_master),
    Call.PRUNE_IMAGES: Row(images.prune_images, "prune_images"),
    Call.GET_OPERATIONS: Row(cluster.empty),
    Call.MARK_RESOURCE_PROVIDER_GONE: Row(cluster.of_a_master),
    Call.EXEC: Row(containers.execute, "exec"),
    Call.PAUSE_CONTAINER: Row(containers.pause_container, "pause_container"),
    Call.UNPAUSE_CONTAINER: Row(containers.unpause_container, "unpause_container"),
    Call.UPDATE_CONTAINER: Row(containers.update_container, "update_container"),
    Call.FOLLOW_LOGS: Row(logs.follow_logs, "follow_logs", STREAM),
    Call.COPY_IN: Row(archives.copy_in, "copy_in", INPUT),
    Call.COPY_OUT: Row(archives.copy_out, "copy_out", STREAM),
    Call.LIST_IMAGES: Row(images.list_images),
    Call.PULL_IMAGE: Row(images.pull_image, "pull_image"),
    Call.REMOVE_IMAGE: Row(images.remove_image, "remove_image"),
    Call.EVENTS: Row(streams.events, answer=STREAM, lists=True),
    Call.AWAIT_CONTAINER: Row(containers.await_container, "await_container"),
    Call.LIST_CONTAINERS: Row(containers.list_containers, lists=True),
    Call.STOP_CONTAINER: Row(containers.stop_container, "stop_container"),
    Call.LAUNCH_SESSION: Row(streams.launch_session, "launch_session", STREAM),
    Call.LIST_PROCESSES: Row(containers.list_processes, "list_processes"),
    Call.RUN_POD: Row(pods.run_pod, "run_pod"),
    Call.LIST_PODS: Row(pods.list_pods, lists=True),
    Call.REMOVE_POD: Row(pods.remove_pod, "remove_pod"),
    Call.FOLLOW_POD: Row(pods.follow_pod, "follow_pod", STREAM),
    Call.CREATE_VOLUME: Row(volumes.create_volume, "create_volume"),
    Call.LIST_VOLUMES: Row(volumes.list_volumes),
    Call.INSPECT_VOLUME: Row(volumes.inspect_volume, "inspect_volume"),
    Call.REMOVE_VOLUME: Row(volumes.remove_volume, "remove_volume"),
    Call.PRUNE_VOLUMES: Row(volumes.prune_volumes, "prune_volumes"),
}
