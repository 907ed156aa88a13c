"""``zoo.darts.RecurrentModule``: any cell in the ``RNNModel`` of darts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from darts.models.forecasting.pl_forecasting_module import io_processor
from darts.models.forecasting.rnn_model import CustomRNNModule
from darts.utils.data.torch_datasets.utils import ModuleStage, PLModuleOutput

from zoo.layers.config import CellLike
from zoo.torch import Recurrent


class RecurrentModule(CustomRNNModule):  # type: ignore[misc]
    """Recurrent layers of a cell and a linear readout, for ``darts.models.RNNModel``.

    Make a subclass with the cell in your own module, so that darts can save the model, and pass the
    subclass as ``model``. It computes on the CPU: ``pl_trainer_kwargs={"accelerator": "cpu"}``. The cells
    ``"lstm"`` and ``"gru"`` have the parameters of darts' own modules.

    >>> class LEM(RecurrentModule):
    ...     cell = "lem"
    >>> RNNModel(model=LEM, input_chunk_length=24, training_length=48, hidden_dim=32)

    Attributes:
        cell: Name of a cell, a cell class, or a cell with options; or a list with one for each layer.
        options: Other arguments of :class:`zoo.torch.Recurrent`, such as ``residual``.
    """

    cell: ClassVar[CellLike | Sequence[CellLike]] = "gru"
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = self.input_size, self.hidden_dim, self.num_layers
        self.rnn = Recurrent(self.cell, *sizes, batch_first=True, dropout=self.dropout, **self.options)
        output_size = self.rnn(torch.zeros(1, 1, self.input_size))[0].shape[2]
        self.V = torch.nn.Linear(output_size, self.target_size * self.nr_params)

    @io_processor  # type: ignore[untyped-decorator]
    def forward(self, x_in: Any) -> Any:
        """Outputs of every step in training, and of the last step in prediction.

        Args:
            x_in: The ``PLModuleInput`` of darts. Its arrays are ``(B, T, C)``.

        Returns:
            A ``PLModuleOutput`` with predictions ``(B, T, M, parameters)`` and the final states.
        """
        is_prediction = x_in.stage is ModuleStage.PREDICT
        target, known = x_in.past_target, x_in.future_covariates
        if is_prediction and x_in.state is not None:
            target = target[:, -1:]  # the states contain the steps before
        if is_prediction and known is not None:
            # A step reads the target now and the covariates of the next step; in training darts shifts them.
            known = torch.cat([x_in.historic_future_covariates, known[:, :1]], dim=1)[:, -target.shape[1] :]
        x = target if known is None else torch.cat([target, known], dim=2)
        y, state = self.rnn(x, x_in.state)
        prediction = self.V(y).reshape(*x.shape[:2], self.target_size, self.nr_params)
        return PLModuleOutput(prediction=prediction[:, -1:] if is_prediction else prediction, state=state)
