"""zoo: recurrent cells, written as their equations and trained on a CPU with compiled kernels.

>>> import zoo
>>> zoo.list_optimizers()[:2]
['adagrad', 'adam']

Importing zoo loads neither plugins nor the compiler; a name is imported at its first use.
"""

from __future__ import annotations

from zoo._lazy import attach

__version__ = "0.1.0"

_EXPORTS = {
    "base": (
        "Batch Block Buffer Card Cell Chain Constraint Gates Input Modifier Noise Optimizer Option Output "
        "Param Penalty Sampler State StateSlot Task TaskRng Tracker"
    ),
    "base.loss": "Loss",
    "classification.api": "predict",
    "comparison": "Comparison compare",
    "compiler.inner_gradients": "grad value_and_grad",
    "errors": (
        "CheckpointError DataError DefinitionError PluginError UnknownNameError UsageError ZooError "
        "ZooWarning"
    ),
    "forecasting.api": "backtest forecast",
    "functions": (
        "cayley cumax cumsum erf exp exp_diff expm eye gelu hard_sigmoid heaviside layer_norm leaky_relu "
        "log log_sigmoid outer relu rms_norm roll short_convolution sigmoid silu softmax softplus split "
        "sqrt stop_gradient tanh top_k"
    ),
    "kernels.jit": "njit",
    "layers": "Recurrent",
    "model": "LanguageModel SequenceModel load width_groups",
    "online": "RTRL UORO",
    "registry": (
        "get_block get_cell get_constraint get_loss get_modifier get_optimizer get_penalty get_sampler "
        "get_task get_tracker hookimpl list_blocks list_cells list_constraints list_losses list_modifiers "
        "list_optimizers list_penalties list_samplers list_tasks list_trackers modify register_block "
        "register_cell register_constraint register_loss register_modifier register_optimizer "
        "register_penalty register_sampler register_task register_tracker"
    ),
    "training": "Run train",
    "training.fit_data": "fit",
    "training.learning_curves": "learning_curves",
}
# Submodules after the bar are not in __all__: a star import would hide the libraries that they need.
_SUBMODULES = (
    "analysis convert data export kernels report testing | base classification darts forecasting jax "
    "layers online sklearn sktime torch training"
)

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS, _SUBMODULES)
