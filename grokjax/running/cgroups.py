"""Limits that Linux's control groups set: of a container, of a cluster's job."""

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def limits(controller: str, version_2: str, version_1: str) -> list[str]:
    """What the files of a controller say in this process's cgroup and in those around it.

    Both versions: `0::/path` is the second's line of /proc/self/cgroup, `8:memory:/path` one of
    the first's. The root's own limit is that of a container.

    Args:
        controller: `memory` or `cpu`.
        version_2, version_1: the file's name in each version, such as `memory.max`.
    """
    found = []
    lines = OWN.read_text(encoding="utf-8").splitlines() if OWN.is_file() else ()
    for line in ["0::/", *lines]:
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = ROOT / controllers
        name = version_1 if controllers else version_2
        folder = root / place.strip("/")
        for around in (folder, *folder.parents):
            if around.is_relative_to(root) and (around / name).is_file():
                found.append((around / name).read_text(encoding="utf-8").strip())
    return found
