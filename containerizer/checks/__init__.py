"""Checks: whether a task works, not just runs; CheckInfo and HealthCheck of Mesos, probes of Kubernetes.

    check.py      what to try, how often, and how many failures count
    state.py      what follows from the results: pure, without a clock
    attempt.py    one try, and how it ends
    command.py network.py http.py grpc.py    the kinds of them
    runner.py     a clock, and the tries that are due
    mesos.py docker.py    checks in others' words

Tries are made in the container: commands as those of `exec`, connections by sockets of its network namespace.
"""
