"""Models that differ in numbers only, trained in lockstep.

One forward and backward pass serves all of them; then one optimizer steps on the stack, of which the parameters of each
model are views. So each model takes the steps that it would take alone, under any optimizer that treats every tensor by
itself, and with a learning rate of its own. What is drawn at random is drawn for each model by itself, before.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partialmethod
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from partae.checks import InputError
from partae.constraint import Constraint
from partae.model.averages import Means
from partae.model.lightning import Batch, full_precision
from partae.sweep.stack.member import Member
from partae.sweep.stack.optimization import Optimization, groups_of
from partae.sweep.stack.vectorized import Vectorized


class Stack(LightningModule):
    """Trains its members on the same batches, and calls the hooks of each member's model and callbacks.

    A member that diverges ends there, with the error that its run alone would end with: none of its hooks is called any
    more. Its place in the stack is trained on, which changes no other member. When all have ended, training stops.

    Args:
        members: of one `structure`, stackable (`reason_alone`), and in the same epoch.
        constraints: on the atoms, the same for all.
        compiled: whether the losses of a batch of ``batch_size`` images are compiled, where that works.
        batch_size: B of all but the last batch of an epoch.
    """

    def __init__(
        self,
        members: Sequence[Member],
        constraints: Sequence[Constraint] = (),
        *,
        compiled: bool = False,
        batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.groups = groups_of(members)
        self.members, self.constraints = list(itertools.chain(*self.groups)), constraints
        for member in self.members:
            if member.start:
                member.model.load_state_dict(member.start["state_dict"])
        # a plain attribute: Lightning sees a module without parameters, and neither moves nor saves any
        self.models = Vectorized([member.model for member in self.members], compiled=compiled, batch_size=batch_size)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        self.models.move(self.device)
        steps = int(self.trainer.estimated_stepping_batches)
        own = self.optimization = Optimization(self.groups, self.models.parameters.values(), steps)
        return {"optimizer": own.optimizer, "lr_scheduler": {"scheduler": own.scheduler, "interval": "step"}}

    def setup(self, stage: str) -> None:
        for member in self.members:
            member.attach(self.trainer)
        self._call("setup", stage)

    def teardown(self, stage: str) -> None:
        self._call("teardown", stage)
        for member in self.members:
            member.detach()

    def on_fit_start(self) -> None:
        if start := self.members[0].start:
            self.trainer.fit_loop.load_state_dict(start["loops"]["fit_loop"])
        else:
            self._constrain()
        self._call("on_fit_start")

    def on_train_start(self) -> None:
        for member in self.members:
            if member.start:
                with member.own_random_state():
                    member.load_checkpoint()
        self._call("on_train_start")

    def on_train_epoch_start(self) -> None:
        self.train_means = Means()
        self._call("on_train_epoch_start")

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        losses, codes = self.models.losses(batch[0], *batch[2:], **self._seen(batch[0]))
        # each loss depends on one member only, so the gradient of the sum holds the gradient of each
        return {"loss": self.train_means.add(losses, codes).sum(), "code": codes.detach()}

    def _seen(self, images: Tensor) -> dict[str, Tensor]:
        """What the encoder of each member sees, (n, B, C, H, W), where that is drawn at random: each draws its own."""
        if getattr(self.members[0].model.corruption, "is_deterministic", False):
            return {}
        return {"seen": torch.stack([member.corrupt(images) for member in self.members])}

    def optimizer_zero_grad(self, *_: Any) -> None:
        for tensor in self.models.parameters.values():
            tensor.grad = None

    def on_after_backward(self) -> None:
        self.optimization.hand_out_gradients()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        for index, member in enumerate(self.members):
            for callback in [] if member.error else member.watching:
                own = {"code": outputs["code"][index]}
                callback.on_train_batch_end(member.model.trainer, member.model, own, batch, batch_idx)
        self._constrain()

    def on_validation_model_eval(self) -> None:
        for member in self.members:
            member.model.eval()

    def on_validation_model_train(self) -> None:
        for member in self.members:
            member.model.train()

    def on_validation_start(self) -> None:
        self._hand_out_means()
        self._call("on_validation_start")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch[0]
        operated = [operator(images) for operator in self.members[0].model.measures.operators]
        # one by one: without gradients, the images and the code of one model stay in the processor's cache
        with full_precision(self.device):
            for model in (member.model for member in self.members if not member.error):
                model.measures.update(model, images, operated)
                model.val_means.add(*model.losses_of_batch(images, *batch[2:]))

    def on_validation_epoch_end(self) -> None:
        self._call("on_validation_epoch_end")
        for member in self.members:
            if not member.error:
                member.log_validation()

    def on_train_epoch_end(self) -> None:
        self._hand_out_means()
        self._call("on_train_epoch_end")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Replace the trainer's state in the checkpoint by that of the member that is saving."""
        member = next(member for member in self.members if member.is_saving)
        checkpoint |= self.optimization.state_of(member)
        member.fill_checkpoint(checkpoint)

    def _constrain(self) -> None:
        for constraint in self.constraints:
            atoms, bias = (self.models.parameters[f"decoder.{name}"] for name in ("atoms", "bias"))
            constraint.apply(atoms, bias, stacked=True)

    def _hand_out_means(self) -> None:
        """Give each model its share of the means over the epoch so far."""
        for index, member in enumerate(self.members):
            member.model.train_means = self.train_means.of_model(index)

    def _call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of each member that has not ended; end a member whose hook raises InputError."""
        for member in self.members:
            if not member.error:
                try:
                    with member.own_random_state():
                        member.call(hook, *arguments)
                except InputError as error:
                    member.error = error
        self.trainer.should_stop |= all(member.error for member in self.members)

    # hooks in which the stack has nothing to do for itself
    on_validation_epoch_start = partialmethod(_call, "on_validation_epoch_start")
    on_validation_end = partialmethod(_call, "on_validation_end")
    on_train_end = partialmethod(_call, "on_train_end")
    on_fit_end = partialmethod(_call, "on_fit_end")
