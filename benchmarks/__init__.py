"""Benchmarks: how fast it is, beside others."""

import grokjax  # noqa: F401, XLA gets its flags before JAX starts
