"""Studies, one file for each claim; `python -m experiments list` prints the claims."""
