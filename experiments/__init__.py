"""One file for each claim; `python -m experiments list` shows them."""
