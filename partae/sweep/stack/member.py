"""One model of a stack: what its run alone would do beside the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger
from torch import Tensor

from partae.checks import InputError
from partae.model.autoencoder import AutoEncoder
from partae.model.lightning import Losses


@dataclass
class Member:
    """One model of a stack, with what its run alone would have.

    Args:
        model: whose parameters become views of the stack.
        loggers: of its own run.
        callbacks: of its own run, without constraints and progress bar.
        start: the checkpoint that it goes on from, if any; all members of a stack have come equally far.

    Attributes:
        error: why it is frozen: its losses are not finite any more.
        metrics: what callbacks see of it, as ``trainer.callback_metrics``.
        saving: whether it is its checkpoint that the trainer writes just now.
    """

    model: AutoEncoder
    loggers: list[Logger] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)
    start: Mapping[str, Any] | None = None
    error: InputError | None = None
    metrics: dict[str, Tensor] = field(default_factory=dict)
    saving: bool = False

    def tell(self, hook: str, trainer: MemberTrainer, *arguments: Any) -> None:
        """Call a hook of its callbacks."""
        for callback in self.callbacks:
            getattr(callback, hook)(trainer, self.model, *arguments)

    def log(self, split: str, measures: Losses, epoch: int, step: int) -> None:
        """Log the measures of a split as those of an epoch, after so many steps."""
        values = {f"{split}/{name}": value for name, value in measures.items()}
        self.metrics |= values
        numbers = {name: value.item() for name, value in values.items()}
        for logger in self.loggers:
            logger.log_metrics({**numbers, "epoch": epoch}, step - 1)

    def add_to(self, checkpoint: dict[str, Any], trainer: MemberTrainer) -> None:
        """Put into a checkpoint what its callbacks and its model keep there."""
        states = {callback.state_key: callback.state_dict() for callback in self.callbacks}
        checkpoint["callbacks"] = {key: state for key, state in states.items() if state}
        self.tell("on_save_checkpoint", trainer, checkpoint)
        self.model.on_save_checkpoint(checkpoint)

    def go_on(self, trainer: MemberTrainer, checkpoint: dict[str, Any]) -> None:
        """Bring its callbacks to where they were when ``checkpoint`` was written."""
        for callback in self.callbacks:
            if state := checkpoint["callbacks"].get(callback.state_key):
                callback.load_state_dict(state)
        self.tell("on_load_checkpoint", trainer, checkpoint)


class MemberTrainer:
    """The stack's trainer as one member's callbacks see it: with the member's measures, loggers and checkpoints."""

    def __init__(self, trainer: Trainer, member: Member) -> None:
        self.trainer, self.member = trainer, member

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        return self.member.metrics

    @property
    def loggers(self) -> list[Logger]:
        return self.member.loggers

    def save_checkpoint(self, path: str, weights_only: bool | None = None) -> None:
        self.member.saving = True
        try:
            self.trainer.save_checkpoint(path, weights_only)
        finally:
            self.member.saving = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)
