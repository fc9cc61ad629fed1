"""`python -m experiments list` shows the claims, `python -m experiments all` tests them all."""

from pathlib import Path

from grokjax import run_studies

if __name__ == "__main__":
    run_studies(Path(__file__).parent)
