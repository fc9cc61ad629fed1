"""`python -m experiments list` shows the claims, `python -m experiments all` tests them all."""

from pathlib import Path

from grokjax import conduct_all

if __name__ == "__main__":
    conduct_all(Path(__file__).parent)
