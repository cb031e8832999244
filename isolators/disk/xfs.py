"""disk/xfs: what a container may write, kept by XFS itself: a project with a quota for each container."""

from __future__ import annotations

from isolators.disk.project_quota import ProjectQuotas, need_of


class DiskXfs(ProjectQuotas):
    name = "disk/xfs"
    filesystem = "xfs"
    needs = (need_of("xfs"),)
