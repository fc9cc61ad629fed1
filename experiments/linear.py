"""Linear regression groks too: that is in how accuracy counts, and a formula gives the delay.

A linear student learns a linear teacher from N examples of d = 1,000 standard normal inputs, by
gradient descent at rate eta = .01 on the mean squared error; an example is right if its squared
error is below .001. Levi et al., 2024, https://arxiv.org/abs/2310.16441, equation 12: with
lambda = d / N, validation accuracy comes to 95 % later than training accuracy by

    log(1 / (1 - sqrt(lambda))) / (2 eta (1 - sqrt(lambda))^2) steps.

That holds for the smallest eigenvalue alone, when all others have decayed; `expected` has all.
Student and teacher are drawn from N(0, 1 / 2d). Validation accuracy is that over all inputs: their
error is normal with the distance of student and teacher as deviation.

    python -m experiments.linear --seeds 20

Shape letters: N training examples, D inputs, E evaluations, S seeds, K points of an integral.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from matplotlib.figure import Figure

from grokjax.reading.pictures import style
from grokjax.reading.rows import write_csv
from grokjax.running import command_line

D = 1000
RATE = 0.01
TOLERANCE = 1e-3
RATIOS = (0.3, 0.5, 0.7, 0.8)  # of inputs to examples
EVERY = 5  # steps from one evaluation to the next


def predicted(ratio):
    """The delay in steps by equation 12."""
    gap = 1 - np.sqrt(ratio)
    return np.log(1 / gap) / (2 * RATE * gap**2)


def expected(ratio):
    """The steps to 95 % in training and validation for infinitely many inputs.

    The squared distance of student and teacher is the mean over the covariance's eigenvalues nu,
    distributed by Marchenko and Pastur, of exp(-4 eta nu t), the training loss that of
    nu exp(-4 eta nu t).
    """
    low, high = ((1 + sign * np.sqrt(ratio)) ** 2 for sign in (-1, 1))
    angle_K = np.linspace(0, np.pi, 20_001)
    nu_K = (low + high) / 2 - (high - low) / 2 * np.cos(angle_K)
    share_K = ((high - low) / 2 * np.sin(angle_K)) ** 2 / (2 * np.pi * ratio * nu_K)
    target = TOLERANCE / (2 * scipy.special.erfinv(0.95) ** 2)

    def time(power):
        def excess(t):
            decayed_K = nu_K**power * np.exp(-4 * RATE * nu_K * t)
            return np.trapezoid(share_K * decayed_K, angle_K) / target - 1

        return scipy.optimize.brentq(excess, 0, 1e6)

    return time(1), time(0)


@functools.partial(jax.jit, static_argnames=("num_train", "num_evaluations"))
def accuracies(seed, num_train, num_evaluations):
    """[E, 2]: accuracy in training and validation before training, after EVERY steps ..."""
    key_inputs, key_student, key_teacher = jax.random.split(jax.random.key(seed), 3)
    x_NxD = jax.random.normal(key_inputs, (num_train, D))
    weights = [jax.random.normal(key, (D,)) / np.sqrt(2 * D) for key in (key_student, key_teacher)]
    covariance_DxD = x_NxD.T @ x_NxD / num_train

    def step(_, error_D):
        return error_D - 2 * RATE * covariance_DxD @ error_D

    def evaluate(error_D, _):
        is_right_N = jnp.square(x_NxD @ error_D) < TOLERANCE
        val_accuracy = jax.scipy.special.erf(jnp.sqrt(TOLERANCE / (2 * jnp.sum(error_D**2))))
        after_D = jax.lax.fori_loop(0, EVERY, step, error_D)
        return after_D, jnp.stack([is_right_N.mean(), val_accuracy])

    return jax.lax.scan(evaluate, weights[0] - weights[1], length=num_evaluations)[1]


def train(ratio, seeds):
    """[S, E, 2]: until validation accuracy is near 100 %."""
    num_steps = 3.2 / (RATE * (1 - np.sqrt(ratio)) ** 2)
    sizes = dict(num_train=round(D / ratio), num_evaluations=int(num_steps / EVERY))
    return np.stack([accuracies(seed, **sizes) for seed in seeds])


def steps_to_95(found_SxEx2):
    """[S, 2]: the first evaluation at 95 %, in steps; infinite for none."""
    is_there_SxEx2 = found_SxEx2 >= 0.95
    steps_Sx2 = EVERY * is_there_SxEx2.argmax(axis=1)
    return np.where(is_there_SxEx2.any(axis=1), steps_Sx2, np.inf)


def row(ratio, found_SxEx2):
    """A line of the table."""
    steps_Sx2 = steps_to_95(found_SxEx2)
    low, delay, high = np.quantile(steps_Sx2[:, 1] - steps_Sx2[:, 0], (0, 0.5, 1))
    training, validation = np.median(steps_Sx2, axis=0)
    return {
        "inputs_per_example": ratio,
        "seeds": len(steps_Sx2),
        "training_at_95": training,
        "validation_at_95": validation,
        "delay": delay,
        "smallest_delay": low,
        "largest_delay": high,
        "of_infinitely_many_inputs": round(np.subtract(*expected(ratio)[::-1])),
        "by_equation_12": round(predicted(ratio)),
    }


def draw(found):
    """Both accuracies over the steps, medians of the seeds."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", xscale="log")
    style.dress(axes, "Accuracy of linear regression")
    style.percent_axis(axes)
    for (ratio, found_SxEx2), line in style.styled(found.items()):
        step_E = EVERY * np.arange(1, found_SxEx2.shape[1])
        train_E, val_E = np.median(found_SxEx2[:, 1:], axis=0).T
        axes.plot(step_E, val_E, label=f"d / N = {ratio}", **line)
        axes.plot(step_E, train_E, **line | {"ls": ":"})
    style.legend(
        figure, style.mark_key("training", "", ls=":"), style.mark_key("validation", "", ls="-")
    )
    return figure


def work(seeds):
    found = {}
    rows = []
    for ratio in RATIOS:
        found[ratio] = train(ratio, seeds)
        rows.append(row(ratio, found[ratio]))
        print(", ".join(f"{name} {value:g}" for name, value in rows[-1].items()), flush=True)
    folder = Path("results/linear")
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(rows, folder / "summary.csv", columns=())
    style.save(draw(found), folder / "accuracy.png")


if __name__ == "__main__":
    command_line.run(lambda _: functools.partial(work, command_line.seeds() or (0,)), ("seeds",))
