"""What training needs, estimated from its jaxpr, beside what XLA plans."""

import jax
import jax.numpy as jnp
import pytest

import grokjax
from grokjax import grid
from grokjax.core import loop
from grokjax.running import cgroups, memory

KILO = jax.ShapeDtypeStruct((250,), "float32")  # 1,000 bytes


def test_the_peak_is_where_most_arrays_are_alive():
    def two_then_one(x):
        a, b = jnp.sin(x), jnp.cos(x)  # x, a and b: 3,000
        c = a * b  # a, b and c: 3,000; x has been read for the last time
        return c.sum()

    def three(x):
        return jnp.sin(x) * jnp.cos(x) * x

    assert memory.peak_bytes(two_then_one, KILO) == 3000
    assert memory.peak_bytes(three, KILO) == 4000


def test_the_body_of_a_loop_counts_once_however_often_it_runs():
    def body(_, x):
        return jnp.sin(x) * jnp.cos(x)

    peaks = [
        memory.peak_bytes(lambda x, n=n: jax.lax.fori_loop(0, n, body, x), KILO) for n in (2, 200)
    ]

    assert peaks[0] == peaks[1]
    assert 3000 <= peaks[0] <= 6100


def test_runs_side_by_side_work_at_once_and_others_one_after_another():
    need = memory.MemoryEstimate(dataset=100, state=10, work=7)

    assert need.total(5, "vmap") == 100 + 5 * 10 + 5 * 7
    assert need.total(5, "map") == 100 + 2 * 5 * 10 + 7
    assert need.total(5, "3") == 100 + 2 * 5 * 10 + 3 * 7
    assert need.total(2, "3") == 100 + 2 * 10 + 2 * 7
    assert need.total(5, "vmap", may_stop=True) == 100 + 2 * 5 * 10 + 5 * 7


def test_a_device_has_a_gigabyte_or_more():
    assert memory.available(jax.local_devices()[0]) > 1e9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "lift", "may_stop"),
    [("transformer", "vmap", True), ("mlp", "vmap", False), ("mlp", "map", True)],
)
def test_the_estimate_is_near_what_xla_plans(model, lift, may_stop):
    """At sizes where activations weigh more than weights; with Grokfast-MA states weigh most."""
    config = grokjax.base(
        task=dict(name="modular", op="add", p=31),
        model=model,
        optimizer=dict(grokfast_ma=dict(window=5), adamw={}),
    )
    config.batch_size = 256
    config.runs = grid(config.runs, seed=range(6))
    experiment = grokjax.setup(config)
    given = (experiment.runs_R, experiment.dataset)
    state_R = jax.eval_shape(lambda: loop.init(experiment.trainer, *given, lift=lift))
    metrics_R = loop.no_metrics(experiment.trainer, state_R, *given, lift=lift)
    program = loop.make_advance(experiment.trainer, lift)
    active_R = jnp.ones(6, bool) if may_stop else None
    program = program.lower(state_R, metrics_R, 0, 4, *given, active_R)
    plan = program.compile().memory_analysis()
    planned = (
        plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        + plan.temp_size_in_bytes
        - plan.alias_size_in_bytes
    )

    estimated = memory.estimate(experiment.trainer, *given).total(6, lift, may_stop)

    assert 0.7 < estimated / planned < 2.5


@pytest.mark.parametrize(
    ("line", "folder", "file"),
    [
        ("0::/job_7/step_0", "job_7", "memory.max"),
        ("8:memory:/slurm/job_7/step_0", "memory/slurm/job_7", "memory.limit_in_bytes"),
        ("0::/", "", "memory.max"),
    ],
    ids=["version 2", "version 1", "a container's root"],
)
def test_the_limit_of_a_job_is_that_of_any_cgroup_around_the_process(
    tmp_path, monkeypatch, line, folder, file
):
    (tmp_path / "own").write_text(f"5:cpu:/elsewhere\n{line}\n")
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    around = tmp_path / folder
    (around / "step_0").mkdir(parents=True)
    (around / "step_0" / file).write_text("max\n")
    (around / file).write_text("3000000\n")

    assert "3000000" in cgroups.limits("memory", *memory.LIMIT_FILES)
    assert memory.available(jax.devices()[0]) <= 0.9 * 3_000_000
