"""Launch programs: what the child does between clone and exec, as system calls written in advance."""
