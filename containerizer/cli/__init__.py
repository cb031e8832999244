"""The command line: one file a command. Each has `configure(parser)` and `run(arguments) -> exit code`."""
