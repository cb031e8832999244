"""containerizer: runs tasks in containers without a daemon."""
