"""The messages, one .proto file a topic, and what protoc makes of them: `make proto`."""
