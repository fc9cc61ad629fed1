"""What a training survives: kills, signals, damage, other processes, full disks, power cuts.

    python -m tests.reliability                      # everything
    python -m tests.reliability kills --cases 1000   # see --help

Every case trains a toy in a folder, disturbs it, goes on as a user would, and compares what is
there at the end with an undisturbed training, bit for bit. The commands run in forked processes
(`forks.py`), so that a case takes about a second.
"""
