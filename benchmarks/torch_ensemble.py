"""Many runs at once as a good PyTorch user would write it: stacked weights and `torch.func.vmap`.

The fused AdamW trains the stacks, for it works element by element.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks import torch_reference
from benchmarks.problem import Problem


class Ensemble(nn.Module):
    """R models of one architecture: logits [R, B, C] of sequences [R, B, L]."""

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        stacked, _ = stack_module_state(models)
        self.names = list(stacked)
        self.weights = nn.ParameterList(stacked.values())
        self._one = [models[0].to("meta")]  # within a list: its weights are not the ensemble's

    def forward(self, inputs_RxBxL):
        def logits(weights, inputs_BxL):
            return functional_call(self._one[0], weights, (inputs_BxL,))

        # `vmap` has no rule for the fused attention: it would go through the runs one by one
        with sdpa_kernel(SDPBackend.MATH):
            weights_R = dict(zip(self.names, self.weights, strict=True))
            return vmap(logits)(weights_R, inputs_RxBxL)


def train(problem: Problem, num_runs: int, steps: int) -> Generator[Mapping, int | None, None]:
    """Trains `steps` further steps of all runs at every `next`, as `torch_reference.turns` does.

    All runs begin with the same weights; each draws its own batches.
    """
    device = torch_reference.where_jax_is()
    models = [torch_reference.make_model(problem).to(device) for _ in range(num_runs)]
    stream = batches(problem.batch_size, len(problem.labels_N), num_runs, device)
    return torch_reference.turns(problem, Ensemble(models), loss_of, stream, steps)


def loss_of(model: nn.Module, inputs_RxBxL: torch.Tensor, labels_RxB: torch.Tensor) -> torch.Tensor:
    """The sum over runs of the mean cross-entropy of their batches."""
    mean = F.cross_entropy(model(inputs_RxBxL).flatten(0, 1), labels_RxB.flatten())
    return len(labels_RxB) * mean


def batches(
    batch_size: int | None, num_rows: int, num_runs: int, device: torch.device
) -> Iterator[torch.Tensor]:
    """Rows [R, B] without end, each run's as in `torch_reference.batches`."""
    if batch_size is None:
        rows_RxN = torch.arange(num_rows, device=device).expand(num_runs, -1)
        while True:
            yield rows_RxN
    streams = [torch_reference.batches(batch_size, num_rows, device) for _ in range(num_runs)]
    for rows_B in zip(*streams, strict=True):
        yield torch.stack(rows_B)
