"""The agent: one process that launches, watches and ends containers for clients, and serves them by HTTP."""
