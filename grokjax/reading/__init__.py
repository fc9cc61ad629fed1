"""From the files of a training to tables and pictures."""
