"""The plain recipe of PyTorch, some updates at a time, for ``time_to_loss.py``, which starts it as a process.

Its Python may be another one than zoo's. Messages are JSON, one a line: first the text and the sizes, then
``{"train": N}``, answered with the seconds of N updates, and ``{"loss": true}``, answered with the loss on
the validation part.

The recipe is the one of many tutorials: one layer of ``torch.nn`` with its own initial values, streams of the
text with carried states, Adam at a constant rate, and a gradient clipped to the norm 1.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer messages until the input ends."""
    import torch

    setup = json.loads(sys.stdin.readline())
    torch.set_num_threads(setup["threads"])
    torch.manual_seed(setup["seed"])
    recipe = _Recipe(
        torch, **{name: setup[name] for name in ("path", "share", "cell", "hidden", "batch", "seq", "lr")}
    )
    for line in sys.stdin:
        message = json.loads(line)
        answer = recipe.train(message["train"]) if "train" in message else recipe.loss()
        print(json.dumps({"answer": answer}), flush=True)


class _Recipe:
    def __init__(
        self, torch: Any, path: str, share: float, cell: str, hidden: int, batch: int, seq: int, lr: float
    ) -> None:
        text = Path(path).read_bytes().decode()  # with its line ends
        symbols = {symbol: number for number, symbol in enumerate(sorted(set(text)))}
        tokens = torch.tensor([symbols[symbol] for symbol in text])
        cut = int(len(tokens) * share)
        self.torch, self.seq, self.position = torch, seq, 0
        self.inputs, self.targets = _streams(tokens[:cut], batch)
        self.valid = _streams(tokens[cut:], batch)
        size = len(symbols)
        self.identity = torch.eye(size)  # faster than one_hot
        layer = {"vanilla": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
        self.layer, self.readout = layer(size, hidden), torch.nn.Linear(hidden, size)
        self.parameters = [*self.layer.parameters(), *self.readout.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=lr)
        self.state: Any = None

    def train(self, updates: int) -> list[float]:
        """Make updates, and return the seconds of each."""
        seconds = []
        for _ in range(updates):
            started = time.perf_counter()
            if self.position + self.seq > len(self.inputs):
                self.position, self.state = 0, None
            window = slice(self.position, self.position + self.seq)
            self.position += self.seq
            loss, self.state = self._loss(self.inputs[window], self.targets[window], self.state)
            self.optimizer.zero_grad()
            loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            seconds.append(time.perf_counter() - started)
        return seconds

    def loss(self) -> float:
        """The mean loss over the validation part, with carried states."""
        total, state = 0.0, None
        with self.torch.no_grad():
            for inputs, targets in zip(*(part.split(256) for part in self.valid), strict=True):
                loss, state = self._loss(inputs, targets, state)
                total += float(loss) * targets.numel()
        return total / self.valid[1].numel()

    def _loss(self, inputs: Any, targets: Any, state: Any) -> tuple[Any, Any]:
        outputs, state = self.layer(self.identity[inputs], state)
        scores = self.readout(outputs).flatten(0, 1)
        state = tuple(each.detach() for each in state) if isinstance(state, tuple) else state.detach()
        return self.torch.nn.functional.cross_entropy(scores, targets.flatten()), state


def _streams(tokens: Any, batch: int) -> tuple[Any, Any]:
    """Inputs and targets ``(T, B)``: contiguous streams, side by side."""
    length = (len(tokens) - 1) // batch
    return (
        tokens[: batch * length].view(batch, length).T.contiguous(),
        tokens[1 : batch * length + 1].view(batch, length).T.contiguous(),
    )


if __name__ == "__main__":
    main()
