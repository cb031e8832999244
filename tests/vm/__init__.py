"""A virtual machine that runs these tests on another kernel, with the cgroup version of choice.

    python -m tests.vm --cgroup v2 -- tests/isolators -q       pytest, with these arguments
    python -m tests.vm --cgroup v1 --exec -- ls /sys/fs/cgroup  any other command

Debian's cloud kernel boots under QEMU, in software, so no KVM is needed. Its root filesystem is the
host's, shared read-only by virtiofs, below an overlay: no image is built, and the guest sees exactly
this checkout, its .venv and the host's programs. What it writes goes to a scratch disk.

    kernel.py    the kernel and its modules from Debian's package, and the first file system it sees
    init         what runs there: finds the host's files and changes into them
    guest.py     process 1 from then on: mounts, cgroups, swap; runs the command; reports
    machine.py   QEMU and virtiofsd: the virtual hardware, the results, the limit

Needed: qemu-system-x86 (with virtiofsd), busybox-static, e2fsprogs, apt, root. Everything made lies
in .vm/: kernel/, and for each cgroup version console.log, junit.xml and the disks of the last run.
"""
