"""Pods: containers that share a network, volumes and a fate, from Kubernetes' Pod manifest.

    document.py     YAML, read by paths; what nobody reads is refused
    manifest.py     the parts of a Pod that one node can do, as data; containers.py, environment.py,
                    security.py, volumes.py, probes.py, hosts.py and quantities.py have theirs
    objects.py      ConfigMaps and Secrets beside it, which file_volumes.py and environment.py use;
                    downward.py: what containers learn of their pod
    requests.py     from these to ContainerRequests
    memory.py       what a pod has in memory only: secrets and files of the manifest
    sub_paths.py    parts of volumes, opened so that no link leads out of them
    policy.py       restarts and phases: pure, without a clock
    stopping.py     a graceful end: hook, signal, patience, SIGKILL
    member.py       one container of a pod, through its restarts
    pod.py          all of them: the loop that runs a pod to its end
    status.py       what others see of it

A pod is a container without a task of its own (it pauses, as PID 1 that collects orphans), which holds
the namespaces and cgroups, and the containers of the manifest nested in it. They end with it.
"""
