"""Models that differ in numbers only, trained as one: their parameters stacked along a new first dimension.

One forward and backward pass serves all of them, by `torch.func`; then one optimizer steps on each model's own
parameters, which are views of the stack. So each model takes the steps that it would take alone, under any optimizer
that treats every tensor by itself, and with a learning rate of its own.
"""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from partae.constraint import Constraint
from partae.data import DataModule
from partae.metrics import Measures
from partae.model.autoencoder import AutoEncoder
from partae.model.lightning import Batch, Losses, Means, divergence, largest_weights, with_total
from partae.sweep.stack.member import Member, MemberTrainer
from partae.sweep.stack.optimization import Optimization


class Stack(LightningModule):
    """Trains its members as one model would be trained: same batches, same steps, same hooks at the ends of epochs.

    A member whose losses cease to be finite is frozen, with the error that its run alone would end with; when none is
    left, training stops.

    Args:
        members: of one `structure`, stackable (`reason_alone`), and equally far.
        constraints: on the atoms, the same for all.
        compiled: whether the pass over a batch of ``batch_size`` is compiled, where that works.
        batch_size: B of all but an epoch's last batch.
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
        self.members, self.constraints, self.batch_size = list(members), constraints, batch_size
        self.calibrated_step = -1
        models = [member.model.eval() for member in members]
        for member in members:
            if member.start:
                member.model.load_state_dict(member.start["state_dict"])
                member.model.on_load_checkpoint(dict(member.start))
        # plain dicts: Lightning is to see a module without parameters, of which it neither moves nor saves any
        self.stacked, self.buffered = stack_module_state(cast("list[nn.Module]", models))
        call = functools.partial(functional_call, _Losses(copy.deepcopy(models[0]).to("meta")))
        self.losses = vmap(lambda state, batch: call(state, batch), in_dims=(0, None))
        self.compiled = torch.compile(self.losses, dynamic=False) if compiled else None

    @property
    def alive(self) -> list[tuple[int, Member]]:
        """The members that are not frozen, with their places in the stack."""
        return [(index, member) for index, member in enumerate(self.members) if member.error is None]

    def pass_over(self, *images: Tensor) -> tuple[Losses, Tensor]:
        """The terms of every member's loss over images (B, C, H, W), by name, each (n,), and activations (n, K).

        Operated images (B, O, C, H, W) may follow, as for `AutoEncoder.losses_of_batch`.
        """
        state = {f"model.{name}": tensor for name, tensor in (self.stacked | self.buffered).items()}
        if self.compiled and len(images[0]) == self.batch_size:
            try:
                return self.compiled(state, images)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
                reason = str(error).strip().splitlines()[0]
                warnings.warn(f"the stack trains without being compiled: {reason}", stacklevel=2)
                self.compiled = None
        losses: tuple[Losses, Tensor] = self.losses(state, images)
        return losses

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        self._tie()
        own = self.optimization = Optimization(self.members, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": own.optimizer, "lr_scheduler": {"scheduler": own.scheduler, "interval": "step"}}

    def _tie(self) -> None:
        """Bring the stack to the training device, and make each member's parameters and buffers views of it."""
        for tensors in (self.stacked, self.buffered):
            for name, tensor in tensors.items():
                tensors[name] = tensor.detach().to(self.device).requires_grad_(tensor.requires_grad)
        self.measures = [Measures(len(member.model.atoms)).to(self.device) for member in self.members]
        for index, member in enumerate(self.members):
            for name, parameter in member.model.named_parameters():
                parameter.data = self.stacked[name].data[index]
            for name, buffer in member.model.named_buffers():
                buffer.data = self.buffered[name][index]

    # --- training -----------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, DataModule):
            data.operate(self.members[0].model.operators)
        self._tell("setup", stage)

    def on_fit_start(self) -> None:
        if self.trainer.ckpt_path is None:
            self._constrain()
        self._tell("on_fit_start")

    def on_train_start(self) -> None:
        for _, member in self.alive:
            if member.start:
                member.go_on(MemberTrainer(self.trainer, member), dict(member.start))
        self._tell("on_train_start")

    def on_train_epoch_start(self) -> None:
        self.train_means, self.first_step = Means(), self.global_step + 1
        self._tell("on_train_epoch_start")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses, activation = self.pass_over(batch[0], *batch[2:])
        self.train_means.add(len(batch[0]), losses, activation)
        # each loss depends on one member only: the gradient of their sum is every member's own
        return torch.stack(list(losses.values())).sum()

    def optimizer_zero_grad(self, *_: Any) -> None:
        for tensor in self.stacked.values():
            tensor.grad = None

    def on_after_backward(self) -> None:
        gradients = {name: tensor.grad for name, tensor in self.stacked.items()}
        for index, member in enumerate(self.members):
            for name, parameter in member.model.named_parameters():
                gradient = gradients[name]
                # an optimizer leaves a parameter without gradient as it is: so a member is frozen
                parameter.grad = None if gradient is None or member.error else gradient[index]

    def on_train_batch_end(self, *_: Any) -> None:
        self._constrain()

    def _constrain(self) -> None:
        for constraint in self.constraints:
            constraint.apply(self.stacked["decoder.atoms"], self.stacked["decoder.bias"], stacked=True)

    def on_validation_start(self) -> None:
        self._freeze()

    def on_train_epoch_end(self) -> None:
        losses = self._freeze()
        for index, member in self.alive:
            member.log("train", with_total(losses[index]), self.current_epoch, self.global_step)
        if self.calibrated_step != self.global_step:
            self._calibrate()
        self._tell("on_train_epoch_end")

    def _freeze(self) -> dict[int, Losses]:
        """Of each place, the terms over the epoch so far; members of which one is not finite are frozen."""
        means, activations = self.train_means.compute()
        losses = {}
        for index, member in self.alive:
            own = {name: values[index] for name, values in means.items()}
            losses[index] = member.model.losses_of_set(own, activations[index])
            step = self.first_step + int(cast("Tensor", self.train_means.finite)[index])
            member.error = divergence("mean losses", losses[index], self.current_epoch, step) or divergence(
                "largest weights", largest_weights(member.model), self.current_epoch, self.global_step
            )
        if not self.alive:
            self.trainer.should_stop = True
        return losses

    # --- validation ---------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        self.val_means = [Means() for _ in self.members]
        for measures in self.measures:
            measures.reset()
        self._calibrate()

    def _calibrate(self) -> None:
        for _, member in self.alive:
            member.model.calibrate(getattr(self.trainer, "datamodule", None))
        self.calibrated_step = self.global_step

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch[0]
        operated = [operator(images) for operator in self.measures[0].operators]
        # one by one: without gradients a model's images and code stay in the cache, a stack's do not
        for index, member in self.alive:
            self.measures[index].update(member.model, images, operated)
            self.val_means[index].add(len(images), *member.model.losses_of_batch(images, *batch[2:]))

    def on_validation_epoch_end(self) -> None:
        self._tell("on_validation_epoch_end")
        for index, member in self.alive:
            losses = member.model.losses_of_set(*self.val_means[index].compute())
            measures = self.measures[index].compute()
            member.error = divergence("measures of validation", measures, self.current_epoch, self.global_step)
            if not member.error:
                member.log("val", measures | with_total(losses), self.current_epoch, self.global_step)
                member.model.validated_step = self.global_step

    def on_validation_end(self) -> None:
        self._tell("on_validation_end")

    # --- what a member's own run would do ----------------------------------------------------------------------------

    def on_train_end(self) -> None:
        self._tell("on_train_end")

    def on_fit_end(self) -> None:
        self._tell("on_fit_end")

    def teardown(self, stage: str) -> None:
        self._tell("teardown", stage)
        for member in self.members:
            for logger in member.loggers:
                logger.finalize("success")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the trainer's checkpoint that of the member which asked for it, as its run alone would write it."""
        place, member = next((place, member) for place, member in enumerate(self.members) if member.saving)
        checkpoint["state_dict"] = {name: tensor.clone() for name, tensor in member.model.state_dict().items()}
        checkpoint |= self.optimization.state_of(place)
        member.add_to(checkpoint, MemberTrainer(self.trainer, member))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Of a member's checkpoint, the trainer takes how far it came; the rest is the members' own."""
        checkpoint |= {"state_dict": {}, "optimizer_states": [], "lr_schedulers": [], "callbacks": {}}

    def _tell(self, hook: str, *arguments: Any) -> None:
        for _, member in self.alive:
            member.tell(hook, MemberTrainer(self.trainer, member), *arguments)


class _Losses(nn.Module):
    """A model whose forward pass gives the terms of its loss, for `functional_call`."""

    def __init__(self, model: AutoEncoder) -> None:
        super().__init__()
        self.model = model
        for module in model.modules():
            if type(module) is nn.Linear:
                module.forward = functools.partial(_linear, module)  # type: ignore[method-assign]

    def forward(self, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        return self.model.losses_of_batch(images, operated)


def _linear(layer: nn.Linear, features: Tensor) -> Tensor:
    """What ``layer`` makes of features (B, F): as a product whose gradient lies in memory as a stack of weights does.

    The usual one's is transposed, and copying it takes a tenth of a step.
    """
    rows = (layer.weight @ features.T).T
    return rows if layer.bias is None else rows + layer.bias
