"""One model of a stack, with the callbacks and loggers of its own run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, cast

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Optimizer

from partae.callbacks.checkpoint import random_state, set_random_state
from partae.checks import InputError
from partae.model.autoencoder import AutoEncoder


@dataclass
class Member:
    """One model of a stack, with what its run alone would have.

    Args:
        model: its parameters become views of the stack.
        loggers: of its own run.
        callbacks: of its own run, without constraints and progress bar.
        start: the content of the checkpoint from which it is resumed; empty for a new run.
        random: the states of torch's random generators in its own run; by default, those at this moment.

    Attributes:
        error: of its training, once that has diverged.
        metrics: all that the model has logged, by name.
        is_saving: whether the checkpoint that the trainer writes at this moment is its own.
    """

    model: AutoEncoder
    loggers: list[Logger] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)
    start: Mapping[str, Any] = field(default_factory=dict)
    random: Mapping[str, Tensor] = field(default_factory=partial(random_state, torch.device("cpu")))
    error: InputError | None = None
    metrics: dict[str, Tensor] = field(default_factory=dict)
    is_saving: bool = False

    @cached_property
    def watching(self) -> list[Callback]:
        """The callbacks that look at each batch, but for those that write checkpoints, which happens after epochs."""
        watching = (each for each in self.callbacks if is_overridden("on_train_batch_end", each, Callback))
        return [callback for callback in watching if not isinstance(callback, Checkpoint)]

    def attach(self, trainer: Trainer) -> None:
        """Attach the model to the stack's trainer, and collect here what it logs."""
        self.model.trainer = cast("Trainer", MemberTrainer(trainer, self))
        self.model.log = self._log  # type: ignore[assignment, method-assign]

    def detach(self) -> None:
        """Take the trainer away from the model, and close the loggers."""
        self.model.trainer = None
        del self.model.log
        for logger in self.loggers:
            logger.finalize("success")

    @contextmanager
    def own_random_state(self) -> Iterator[None]:
        """In this block, torch's random generators are those of the member's own run."""
        device = self.model.trainer.strategy.root_device
        set_random_state(self.random, device)
        try:
            yield
        finally:
            self.random = random_state(device)

    def corrupt(self, images: Tensor) -> Tensor:
        """The images (B, C, H, W) as the encoder sees them in training."""
        with self.own_random_state():
            corrupted: Tensor = self.model.corruption(images)
        return corrupted

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of callbacks and model; as in Lightning, those that write checkpoints come last."""
        last = [callback for callback in self.callbacks if isinstance(callback, Checkpoint)]
        for callback in self.callbacks:
            if callback not in last:
                getattr(callback, hook)(self.model.trainer, self.model, *arguments)
        getattr(self.model, hook)(*arguments)
        for callback in last:
            getattr(callback, hook)(self.model.trainer, self.model, *arguments)

    def load_checkpoint(self) -> None:
        """Set model and callbacks to the checkpoint, but for the weights."""
        for callback in self.callbacks:
            if state := self.start["callbacks"].get(callback.state_key):
                callback.load_state_dict(state)
        self.call("on_load_checkpoint", dict(self.start))

    def fill_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the weights, and the states of model and callbacks, into ``checkpoint``."""
        checkpoint["state_dict"] = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        states = {callback.state_key: callback.state_dict() for callback in self.callbacks}
        checkpoint["callbacks"] = {key: state for key, state in states.items() if state}
        self.call("on_save_checkpoint", checkpoint)

    def log_validation(self) -> None:
        """Give the measures of the last validation to the loggers."""
        values = {name: value.item() for name, value in self.metrics.items() if name.startswith("val/")}
        for logger in self.loggers:
            logger.log_metrics({**values, "epoch": self.model.current_epoch}, self.model.global_step - 1)
            logger.save()

    def _log(self, name: str, value: Tensor, **_: Any) -> None:
        """Take the place of Lightning's ``log``, which knows of one model only."""
        self.metrics[name] = value


class MemberTrainer:
    """The trainer of the stack as a member sees it: with its own measures, loggers and checkpoints."""

    def __init__(self, trainer: Trainer, member: Member) -> None:
        self.trainer, self.member = trainer, member

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        return self.member.metrics

    @property
    def optimizers(self) -> list[Optimizer]:
        return [cast("Any", self.trainer.lightning_module).optimization.optimizer_of(self.member)]

    @property
    def loggers(self) -> list[Logger]:
        return self.member.loggers

    def save_checkpoint(self, path: str, weights_only: bool | None = None) -> None:
        self.member.is_saving = True
        try:
            self.trainer.save_checkpoint(path, weights_only)
        finally:
            self.member.is_saving = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)
