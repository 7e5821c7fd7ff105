"""Which jobs can be trained in one stack."""

from __future__ import annotations

import json

from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import LBFGS, Optimizer

from partae.callbacks import Gallery, Hyperparameters, Revival
from partae.checks import InputError
from partae.constraint import Constraint
from partae.model.autoencoder import AutoEncoder
from partae.run.build import Job
from partae.run.run_folder import is_on_one_device
from partae.saving.specification import describe

# callbacks that change nothing in a training, or only their own model by what it was trained on
CALLBACKS = (Gallery, Hyperparameters, ModelCheckpoint, ProgressBar, Revival)
# settings of a trainer that do not reach across the models of a stack
TRAINER_KEYS = {"_target_", "default_root_dir", "max_epochs", "accelerator", "devices", "deterministic", "plugins"}
TRAINER_KEYS |= {"num_sanity_val_steps", "enable_model_summary", "enable_progress_bar", "log_every_n_steps"}
TRAINER_KEYS |= {"check_val_every_n_epoch", "precision"}


def structure(model: AutoEncoder) -> str:
    """All that models of one stack must share: everything but the numbers kept as tensors, and those of the optimizer.

    >>> from partae.decoder import Dictionary
    >>> from partae.encoder import Dense
    >>> from partae.sparsity import KL, L2
    >>> one, two, other = (
    ...     AutoEncoder(Dense((1, 4, 4), 2), Dictionary((1, 4, 4), 2), sparsity=sparsity)
    ...     for sparsity in (KL(0.1, 0.2), KL(0.3, 0.4), L2(0.1, 0.2))
    ... )
    >>> structure(one) == structure(two), structure(one) == structure(other)
    (True, False)

    Raises:
        InputError: if a user's own module keeps a value that cannot be compared.
    """
    factory = getattr(model.optimizer, "func", model.optimizer)
    tensors = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    return json.dumps([describe(model, comparing=True), repr(factory), tensors])


def reason_alone(job: Job) -> str | None:
    """Why ``job`` must train alone; None if it can train in a stack."""
    model, trainer = job.model, job.cfg.trainer
    if others := sorted({key for key, value in trainer.items() if value is not None} - TRAINER_KEYS):
        return f"trainer.{others[0]} may reach across the models of a stack"
    if (precision := trainer.get("precision", "32-true")) not in ("32-true", "bf16-mixed"):
        return f"trainer.precision={precision}, and a stack trains in 32-true or bf16-mixed"
    if not is_on_one_device(trainer):
        return f"trainer.devices={trainer.devices}, and a stack trains on one"
    if type(model) is not AutoEncoder:
        return f"model {type(model).__name__} does not learn by a loss and an optimizer alone"
    for module in model.children():
        if hasattr(module, "adapt"):
            return f"{type(module).__name__} adapts itself outside of the loss"
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            return f"{type(module).__name__} draws at random in the middle of its model, which no stack does"
    if next(model.corruption.parameters(), None) is not None:
        return f"corruption={type(model.corruption).__name__.lower()} learns, which no stack lets it do"
    for callback in job.callbacks:
        if not isinstance(callback, CALLBACKS):
            return f"callback {type(callback).__name__} may change the training of its model"
    for constraint in job.constraints:
        if not isinstance(constraint, Constraint):
            return f"constraint {type(constraint).__name__} is no projection"
    for logger in job.loggers:
        if not isinstance(logger, TensorBoardLogger | CSVLogger | MLFlowLogger):
            return f"logger {type(logger).__name__} may not keep several runs of one process apart"
    factory = getattr(model.optimizer, "func", model.optimizer)
    is_class = isinstance(factory, type) and issubclass(factory, Optimizer) and not issubclass(factory, LBFGS)
    if not (is_class and factory.__module__.startswith("torch.optim")):
        return f"optimizer {getattr(factory, '__name__', factory)} may not treat every tensor by itself"
    try:
        structure(model)
    except InputError as error:
        return str(error)
    return None
