"""A matmul of float32 on a CPU as PyTorch computes it, and as oneDNN does."""

from collections.abc import Generator

import torch

from benchmarks.flops import Matmul
from grokjax.running import cores


def mm(matmul: Matmul, times: int) -> Generator[torch.Tensor, int | None, None]:
    """Computes `torch.mm`, at the matmul's shapes and layouts, that many times at every `next`.

    `send(n)` makes them n.
    """
    x, w = _sides(matmul)
    return _repeat(lambda: torch.mm(x, w), times)


def onednn(matmul: Matmul, times: int) -> Generator[torch.Tensor, int | None, None]:
    """The same by oneDNN, at the matmul's shapes in the layout that it takes.

    It is what `torch.compile` makes of a linear layer; PyTorch's own products of float32 are
    those of another library, on x86 Intel's MKL.
    """
    x, w = _sides(matmul)
    x = x.contiguous()
    w = w.T.contiguous()
    return _repeat(lambda: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], ""), times)


def _sides(matmul):
    """Two matrices [M, K] and [K, N] that lie in memory as the matmul's."""
    (summed, batch) = dict(matmul.options)["dimension_numbers"]
    left, right = (torch.randn(side.shape) for side in (matmul.left, matmul.right))
    if batch != ((), ()) or left.ndim != 2 or right.ndim != 2:
        raise ValueError(f"{matmul} is not of two matrices")
    return left if summed[0] == (1,) else left.T, right if summed[1] == (0,) else right.T


def _repeat(product, times):
    torch.set_num_threads(cores.available())  # as many as XLA has
    while True:
        for _ in range(times):
            y = product()
        times = (yield y) or times
