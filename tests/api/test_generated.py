"""What is checked in of protoc's is what protoc makes of the .proto files here."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted((ROOT / "containerizer").rglob("*.proto"))


@pytest.mark.requires("protoc")
def test_the_generated_code_is_of_these_sources(tmp_path: Path) -> None:
    """By their descriptors: the text differs between versions of protoc."""
    names = [str(path.relative_to(ROOT)) for path in SOURCES]
    out = tmp_path / "descriptors"
    subprocess.run(["protoc", f"--descriptor_set_out={out}", *names], cwd=ROOT, check=True, timeout=60)
    made = FileDescriptorSet.FromString(out.read_bytes())
    assert len(made.file) == len(SOURCES) > 0
    for file in made.file:
        module = importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        checked_in = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        assert checked_in == without_json_names(file), f"run `make proto`: {file.name} has changed"


def without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    """Generated code leaves them to the runtime, which derives them."""
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        pending += message.nested_type
        for field in message.field:
            field.ClearField("json_name")
    return file
