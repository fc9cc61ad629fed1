"""Decompositions of many runs at once: right, and none waits for another."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from grokjax.core import lapack

PACKAGE = Path(lapack.__file__).parent.parent
PURE = ("core", "tasks", "models", "optimizers", "measures")
BATCHED = r"custom_call @lapack\w+\([^\n]*tensor<\d+x\d+x\d+x"
TOGETHER = """
import jax, numpy as np
import grokjax
from grokjax.core import lapack

both = jax.jit(jax.vmap(lambda a: (lapack.eigh(a + a.T), lapack.svd(a))))
a_RxDxD = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
for _ in range(20):
    jax.block_until_ready(both(a_RxDxD))
"""


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def symmetric(a_RxDxD):
    return a_RxDxD + a_RxDxD.transpose(0, 2, 1)


CASES = {
    "eigh": (
        (symmetric(random(3, 5, 5)),),
        lambda a: (np.linalg.eigh(a)[0], np.abs(np.linalg.eigh(a)[1])),
        lambda found: (found[0], np.abs(found[1])),  # their signs are free
    ),
    "eigvalsh": ((symmetric(random(3, 5, 5)),), np.linalg.eigvalsh, None),
    "svd": (
        (random(3, 7, 5),),
        lambda a: np.linalg.svd(a, compute_uv=False),
        lambda found: found[1],
    ),
    "spectral_norm": (
        (random(3, 7, 5),),
        lambda a: np.linalg.svd(a, compute_uv=False)[:, 0],
        None,
    ),
    "solve": ((random(3, 5, 5), random(3, 5, 2)), np.linalg.solve, None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_batch_is_decomposed_as_numpy_does_and_on_a_cpu_matrix_by_matrix(name):
    arrays, expected, part = CASES[name]
    batched = jax.jit(jax.vmap(getattr(lapack, name)))
    found = batched(*arrays)
    program = batched.lower(*arrays).as_text()

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        part(found) if part else found,
        expected(*arrays),
    )
    assert "@lapack" in program
    assert not re.search(BATCHED, program)


def test_the_pattern_knows_a_batch_where_jax_is_left_to_itself():
    program = jax.jit(jax.vmap(jax.numpy.linalg.svd)).lower(random(3, 7, 5)).as_text()

    assert re.search(BATCHED, program)


def test_svd_multiplies_back():
    a_RxNxD = random(3, 5, 7)
    u_RxNxK, s_RxK, vt_RxKxD = jax.vmap(lapack.svd)(a_RxNxD)

    np.testing.assert_allclose(u_RxNxK * s_RxK[:, None] @ vt_RxKxD, a_RxNxD, atol=1e-5)


def test_no_part_goes_past_it():
    decompose = re.compile(r"linalg\.(eig|svd|qr|cholesky|solve|inv|pinv|det|slogdet|lstsq)|ord=2")
    found = [
        path.name
        for folder in PURE
        for path in (PACKAGE / folder).rglob("*.py")
        if path.name != "lapack.py" and re.search(rf"jnp\.{decompose.pattern}", path.read_text())
    ]

    assert not found


@pytest.mark.slow
def test_two_batches_at_once_do_not_wait_for_each_other():
    done = subprocess.run([sys.executable, "-c", TOGETHER], timeout=120, check=False)

    assert done.returncode == 0
