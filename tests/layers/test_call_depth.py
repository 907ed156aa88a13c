"""Number of Python frames between a call of a layer and the kernel: each costs time and reading."""

import sys

import numpy as np
import pytest

import zoo

MAX_FRAMES = 8


def frames_to_kernel(rnn, **arguments):
    """Frames from ``forward`` to the call of the first kernel, both included, while it runs."""
    depths = []
    kernels = rnn.stack.directions[0].kernels

    def profile(frame, event, _):
        is_call = event == "call" and frame.f_code.co_name == "__call__"
        if is_call and frame.f_locals.get("self") is kernels.forward:
            depth = 1
            while frame.f_locals.get("self") is not rnn:
                frame, depth = frame.f_back, depth + 1
            depths.append(depth)

    rnn.forward(**arguments)  # compiles
    sys.setprofile(profile)
    try:
        rnn.forward(**arguments)
    finally:
        sys.setprofile(None)
    assert depths
    return max(depths)


@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2, "residual": True}, {"bidirectional": True}, {"recompute": 2}],
    ids=["plain", "stack", "bidirectional", "recompute"],
)
def test_at_most_eight_frames_from_forward_to_kernel(options):
    rnn, x = zoo.Recurrent("vanilla", 3, 4, threads=1, **options), np.ones((6, 9, 3), np.float32)
    assert frames_to_kernel(rnn, x=x) <= MAX_FRAMES
    if not rnn.config.bidirectional:  # there, each direction has chunks of its own
        assert frames_to_kernel(rnn, x=x, lengths=np.full(9, 4)) <= MAX_FRAMES
