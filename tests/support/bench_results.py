"""Results of a benchmark, made up."""

from __future__ import annotations

from dataclasses import replace

from zoo.bench.results import CellTiming, Growth, Results, SamplingSpeed, StartupTime, StepTiming


def made() -> Results:
    def one(cell, shape, ours, **peers):
        steps = (StepTiming(cell, shape, "zoo", ours, ours, 5, 1.0, 0.1, "", 0.5),)
        steps += tuple(
            StepTiming(cell, shape, name, seconds, seconds * 2, 5) for name, seconds in peers.items()
        )
        return CellTiming(cell, shape, 100.0, 10**6, "plan", steps)

    rejected = StepTiming("gru", "1x1x1", "jax", note="rejected: its loss is 1, that of zoo 2")
    return Results(
        "zoo bench",
        "2026-01-01 00:00 UTC",
        {"processor": "P", "processors": 2, "system": "S", "load": 0.0},
        {"threads": 1, "dtype": "float32", "inputs": "tokens", "seconds": 1.0},
        {"zoo": "1"},
        (
            one("lstm", "1x1x1", 1e-3, torch=2e-3, jax=4e-3),
            one("lstm", "2x2x2", 1e-3, torch=8e-3, jax=1e-3),
            replace(one("gru", "1x1x1", 1e-3), steps=(*one("gru", "1x1x1", 1e-3).steps, rejected)),
        ),
        (StartupTime("lstm", 5.0, 0.5),),
        (SamplingSpeed("lstm", 128, "zoo", 400_000.0, 390_000.0),),
        (
            Growth("lstm", "T", "16x8x64", 16, 50.0, 60.0),
            Growth("lstm", "T", "32x8x64", 32, 75.0, 80.0),
        ),
        ("torch has no gru.",),
    )


def slower(results, factor, by_medians_too=True):
    """The same results with zoo slower at the first shape."""
    first = results.races[0]
    ours = first.zoo_step
    changed = replace(
        ours, least_s=ours.least_s * factor, median_s=ours.median_s * (factor if by_medians_too else 1)
    )
    race_ = replace(first, steps=(changed, *first.steps[1:]))
    return replace(results, races=(race_, *results.races[1:]))
