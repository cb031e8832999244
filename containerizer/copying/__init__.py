"""Copy files into and out of containers, while their tasks may do what they like with the same files.

Theory. A task that swaps a directory for a symbolic link between a check and a use would lead a copy
to the host's files (CVE-2018-15664), and a program or library of the image that takes part would run
with the host's privileges (CVE-2019-14271). So no program runs and no process changes its root: a
container's files are reached from one descriptor of its root directory (roots.py), by openat2(2)
with that as `/` and then name by name from the descriptors of directories. A link, wherever it comes
from, leads to another file of the container at worst.

    read_tree ─┐                      ┌─> write_tree      a tree: a directory and what is in it
               ├─> entries + content ─┤
    TarReader ─┘                      └─> write_tar       a tar archive, as a stream (provisioner.layer)

What is copied are entries of provisioner.layer.tar, named by their paths below the copy's top. Each
reader works with each writer; whose the files become is decided between (owners.py), and where they
go by the rules of `docker cp` (places.py).
"""
