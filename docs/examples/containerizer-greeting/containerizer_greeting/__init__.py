"""An isolator and a hook for containerizer, as an example."""
