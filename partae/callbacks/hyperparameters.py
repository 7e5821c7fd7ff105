"""What a run was given and what it measured, in whatever loggers it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from torch.utils.tensorboard.summary import hparams

from partae.report import verdicts


class Hyperparameters(Callback):
    """Logs a run's hyper-parameters at its start, and its measures of the test images at its end.

    TensorBoard shows hyper-parameters and verdicts at the end, and drops what a killed run logged after its last
    checkpoint.

    Attributes:
        values: the hyper-parameters by name, texts or numbers; whoever builds the run sets them.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        restart = Event(step=checkpoint["global_step"], session_log=SessionLog(status=SessionLog.START))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.file_writer.add_event(restart)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            logger.log_hyperparams(self.values)

    def write(self, trainer: Trainer, measures: Mapping[str, float]) -> None:
        """Log the measures of the test images as those of the last step.

        Args:
            trainer: of the run, in the process that writes.
            measures: all measures of the run, by name.
        """
        step = trainer.global_step
        for logger in trainer.loggers:
            logger.log_metrics({key: value for key, value in measures.items() if key.startswith("test/")}, step)
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("verdict", "\n\n".join(verdicts(measures)), step)
                # without the list of keys, which comes first: TensorBoard would take one run's list for all runs
                for summary in hparams(self.values, {})[1:]:
                    logger.experiment.file_writer.add_summary(summary, step)
