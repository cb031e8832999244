"""disk/ext4: what a container may write, kept by ext4 itself: a project with a quota for each container."""

from __future__ import annotations

from isolators.disk.project_quota import ProjectQuotas, need_of


class DiskExt4(ProjectQuotas):
    name = "disk/ext4"
    filesystem = "ext4"
    needs = (need_of("ext4"),)
