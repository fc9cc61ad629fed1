"""Grokfast's filters in PyTorch, between the gradient and AdamW.

The exponential mean is the dictionary of running means that anybody would write. The moving
average is the one that users of the method have: a deque of the last gradients of every
parameter, which are all summed again at each step.
"""

from collections import deque
from collections.abc import Generator, Mapping

import torch
from torch import nn

from benchmarks import torch_reference
from benchmarks.problem import Problem
from grokjax.optimizers._hparams import SHARED


class Ema:
    """Adds `lamb` times the running mean of the gradient, which begins with the first one."""

    def __init__(self, hparams: Mapping[str, float]):
        self.alpha, self.lamb = hparams["alpha"], hparams["lamb"]
        self.slow = {}

    def __call__(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            if name not in self.slow:
                self.slow[name] = parameter.grad.clone()
            slow = self.slow[name].lerp_(parameter.grad, 1 - self.alpha)
            parameter.grad.add_(slow, alpha=self.lamb)

    def fill(self, model: nn.Module) -> None:
        """Begins with zeros instead."""
        self.slow = {name: _zeros(x) for name, x in model.named_parameters()}

    def nbytes(self) -> int:
        return sum(x.nbytes for x in self.slow.values())


class Ma:
    """Adds `lamb` times the mean of the last `window` gradients, once there are as many."""

    def __init__(self, hparams: Mapping[str, float], window: int):
        self.lamb, self.window = hparams["lamb"], window
        self.recent = {}

    def __call__(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            recent = self.recent.setdefault(name, deque(maxlen=self.window))
            recent.append(parameter.grad)
            if len(recent) == self.window:  # not in place: the deque keeps the gradient as it was
                parameter.grad = parameter.grad + sum(recent) / len(recent) * self.lamb

    def fill(self, model: nn.Module) -> None:
        """Begins with a window of zeros: before it is full, the filter costs next to nothing."""
        for name, x in model.named_parameters():
            self.recent[name] = deque((_zeros(x) for _ in range(self.window)), self.window)

    def nbytes(self) -> int:
        return sum(x.nbytes for recent in self.recent.values() for x in recent)


FILTERS = {"grokfast_ema": Ema, "grokfast_ma": Ma}  # by their names in grokjax


def train(
    problem: Problem, filters: Mapping[str, Mapping], steps: int
) -> Generator[Mapping, int | None, None]:
    """Trains `steps` further steps at every `next`, as `torch_reference.turns` does.

    Args:
        problem: what is trained.
        filters: options by name in `FILTERS`; their windows are full from the start.
        steps: of every `next`.
    """
    device = torch_reference.where_jax_is()
    model = torch_reference.make_model(problem).to(device)
    chain = _filled(problem, model, filters)
    stream = torch_reference.batches(problem.batch_size, len(problem.labels_N), device)
    return torch_reference.turns(
        problem, model, torch_reference.loss_of, stream, steps, filters=chain
    )


def nbytes(problem: Problem, filters: Mapping[str, Mapping]) -> int:
    """What full filters keep, counted without any memory for it."""
    model = torch_reference.make_model(problem).to("meta")
    return sum(filter_.nbytes() for filter_ in _filled(problem, model, filters))


def _filled(problem, model, filters):
    usual = {name: hparam.default for name, hparam in SHARED.items()}  # AdamW alone has no filter's
    hparams = {**usual, **problem.hparams}
    chain = [FILTERS[name](hparams, **options) for name, options in filters.items()]
    for filter_ in chain:
        filter_.fill(model)
    return chain


def _zeros(x):
    """Written zeros: those of `zeros_like` may be memory that is not there before it is touched."""
    return torch.full_like(x, 0.0, requires_grad=False)
