"""launcher: data for a launch, kernel calls, and the processes that make a container.

Standard library only, and nothing from the other packages: a supervisor forked from here carries
no more in memory than these modules.
"""
