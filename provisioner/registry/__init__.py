"""The registry client: Docker Registry HTTP API v2, which is OCI distribution."""
