"""Lanes: processes that launch containers for an agent, and see to the end of those they launched."""
