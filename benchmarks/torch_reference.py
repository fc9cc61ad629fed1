"""The same training as a good PyTorch user would write it, eager or compiled.

The data stay on the device, nothing is read back between steps, AdamW is the fused one.
PyTorch's threads are left as they are by default: `OMP_WAIT_POLICY=PASSIVE` would cost it about
half of its speed.
"""

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

import jax
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from benchmarks import torch_models
from benchmarks.problem import Problem


def train(
    problem: Problem, steps: int, *, num_runs: int = 1, mode: str | None = None
) -> Generator[Mapping, int | None, None]:
    """Trains `steps` further steps at every `next`, as `turns` does.

    Args:
        problem: what is trained.
        steps: of every `next`.
        num_runs: takes as many times the steps, as that many runs would one after the other.
        mode: of `torch.compile`, such as `default`, or `reduce-overhead`, which on a GPU makes
            CUDA graphs; None: eager.
    """
    device = where_jax_is()
    model = make_model(problem).to(device)
    objective = torch.compile(loss_of, mode=mode) if mode else loss_of
    stream = batches(problem.batch_size, len(problem.labels_N), device)
    return turns(problem, model, objective, stream, steps, num_runs=num_runs)


def turns(
    problem: Problem,
    model: nn.Module,
    objective: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor],
    stream: Iterator,
    steps: int,
    *,
    num_runs: int = 1,
    filters: Sequence[Callable[[nn.Module], None]] = (),
) -> Generator[Mapping, int | None, None]:
    """Trains `steps` further steps at every `next`, waits for the last, yields the weights.

    Args:
        problem: what is trained.
        model: that is trained, where JAX is.
        objective: (model, inputs, labels) -> loss.
        stream: the rows of each step.
        steps: of every `next`; `send(n)` makes them n.
        num_runs: takes as many times the steps.
        filters: what changes the gradients, one after the other.
    """
    device = where_jax_is()
    if device.type == "cuda":
        precise = problem.precision == "highest"  # otherwise TensorFloat-32, JAX's default there
        torch.set_float32_matmul_precision("highest" if precise else "high")
    optimizer, schedule = adamw(model, problem.hparams)
    inputs_NxL = torch.tensor(problem.inputs_NxL, dtype=torch.long, device=device)
    labels_N = torch.tensor(problem.labels_N, dtype=torch.long, device=device)
    while True:
        for rows_B in itertools.islice(stream, num_runs * steps):
            with autocast(problem, device):
                loss = objective(model, inputs_NxL[rows_B], labels_N[rows_B])
            optimizer.zero_grad()  # makes new gradients, so what a filter keeps stays as it is
            loss.backward()
            for filter_ in filters:
                filter_(model)
            optimizer.step()
            schedule.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        steps = (yield model.state_dict()) or steps


def where_jax_is() -> torch.device:
    """A GPU if JAX computes on one, so that both have the same machine."""
    return torch.device("cuda" if jax.default_backend() == "gpu" else "cpu")


def loss_of(model: nn.Module, inputs_BxL: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of a batch."""
    return F.cross_entropy(model(inputs_BxL), labels_B)


def autocast(problem: Problem, device: torch.device) -> torch.autocast:
    """The context in which matmuls have the problem's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=problem.precision == "bfloat16")


def make_model(problem: Problem) -> nn.Module:
    """The model with grokjax's weights."""
    model = torch_models.MODELS[problem.model](**problem.architecture)
    model.load_state_dict({name: torch.tensor(x) for name, x in weights(problem).items()})
    return model


def weights(problem: Problem) -> dict[str, np.ndarray]:
    """grokjax's weights under the names that they have in the model."""
    return torch_models.rename(problem.model, problem.params, problem.architecture)


def adamw(model: nn.Module, hparams: Mapping[str, float]) -> tuple[torch.optim.AdamW, LambdaLR]:
    """AdamW, and the linear warm-up to its learning rate."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=hparams["learning_rate"],
        betas=(hparams["b1"], hparams["b2"]),
        eps=hparams["eps"],
        weight_decay=hparams["weight_decay"],
        fused=True,
    )
    return optimizer, linear_warmup(optimizer, hparams["warmup"])


def linear_warmup(optimizer: torch.optim.Optimizer, warmup: float) -> LambdaLR:
    """The schedule 1/w, 2/w, ..., 1, 1."""
    steps = max(warmup, 1)
    return LambdaLR(optimizer, lambda t: min((t + 1) / steps, 1.0))


def batches(
    batch_size: int | None, num_rows: int, device: torch.device
) -> Iterator[torch.Tensor | slice]:
    """Rows [B] without end; every epoch is a shuffle whose ragged last batch is dropped.

    For a full batch, the slice that is all rows, which copies nothing.
    """
    if batch_size is None:
        yield from itertools.repeat(slice(None))
    whole = num_rows // batch_size * batch_size
    while True:
        yield from torch.randperm(num_rows, device=device)[:whole].view(-1, batch_size)
