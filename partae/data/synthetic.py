"""Images made of known parts, with which atoms can be compared."""

from __future__ import annotations

from itertools import product

import torch

from partae.checks import random_seed, real, whole
from partae.data.source import Labelled


class Bars:
    """Square images of bars: each row and each column is there or not, and crossings are 1, too.

    Labels say which way most bars lie. An image may have no bar at all.

    Args:
        size: side of the images, at least 2; there are twice as many bars.
        probability: of each bar, in (0, 1); None: 1 / ``size``, two bars in an image on average.
        train_size: number of training images.
        test_size: number of test images.
        seed: of the images.

    Attributes:
        parts: the bars, (2 ``size``, 1, ``size``, ``size``), 0 or 1: rows, then columns.

    Raises:
        InputError: if a number is out of range.

    Source: Földiák, *Forming sparse representations by local anti-Hebbian learning*, Biological Cybernetics 64 (1990).
    """

    classes: tuple[str, ...] = ("balanced", "horizontal", "vertical")

    def __init__(
        self,
        size: int = 8,
        probability: float | None = None,
        train_size: int = 2000,
        test_size: int = 500,
        seed: int = 0,
    ) -> None:
        self.size = whole("data.source.size", size, minimum=2)
        probability = 1 / self.size if probability is None else probability
        self.probability = real("data.source.probability", probability, 0, 1, low_open=True, high_open=True)
        self.train_size = whole("data.source.train_size", train_size)
        self.test_size = whole("data.source.test_size", test_size)
        self.seed = random_seed("data.source.seed", seed)
        self.image_shape = (1, self.size, self.size)
        rows = torch.eye(size)[:, None, :, None].expand(-1, -1, -1, size)
        self.parts = torch.cat([rows, rows.transpose(2, 3)]).contiguous()

    def load(self, split: str) -> Labelled:
        """Images (N, 1, size, size), 0 or 1, and labels (N,) of the "train" or "test" set."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.rand(self.train_size + self.test_size, 2, self.size, generator=generator) < self.probability
        present = {"train": drawn[: self.train_size], "test": drawn[self.train_size :]}[split]
        rows, columns = present.unbind(1)
        images = (rows[:, :, None] | columns[:, None, :]).float()[:, None]
        more_rows = rows.sum(1) - columns.sum(1)
        return images, torch.where(more_rows == 0, 0, torch.where(more_rows > 0, 1, 2))


class Swimmer:
    """A swimmer seen from above, 32 × 32: a torso and four limbs, each in one of four positions; 256 poses.

    The test set holds the 64 poses whose positions, numbered 0 to 3, sum to a multiple of 4, the training set the other
    192. So each position of a limb, and each pair of positions of two limbs, is as frequent in both sets. Labels are
    the positions of the first limb.

    The torso is in every image, so that no factorization can separate it from the limbs: leave its pixels out of a
    comparison, ``part_recovery(atoms, swimmer.parts, swimmer.ignored)``.

    Attributes:
        parts: the limbs, (16, 1, 32, 32), 0 or 1: four positions each of the left arm, the right arm, the left leg and
            the right leg, of six pixels each. No two share a pixel.
        torso: (1, 32, 32), 0 or 1, twelve pixels.
        ignored: (1, 32, 32), of bool: the pixels of the torso.

    Source: Donoho and Stodden, *When does non-negative matrix factorization give a correct decomposition into parts?*,
    NIPS 16 (2003); the drawing is ours.
    """

    classes: tuple[str, ...] = ("stretched", "raised", "level", "lowered")
    image_shape = (1, 32, 32)

    def __init__(self) -> None:
        joints = [(12, 14, -1, -1), (12, 16, -1, 1), (19, 14, 1, -1), (19, 16, 1, 1)]  # row, column, and which way out
        steps = [(1, 0), (1, 1), (0, 1), (-1, 1)]  # along the body and across it, by position
        self.torso = torch.zeros(1, 32, 32)
        self.torso[0, 12:20, 15] = 1
        self.parts = torch.zeros(16, 1, 32, 32)
        for limb, ((row, column, down, right), (along, across)) in enumerate(product(joints, steps)):
            self.torso[0, row, column] = 1
            for pixel in range(1, 7):
                self.parts[limb, 0, row + pixel * along * down, column + pixel * across * right] = 1
        self.ignored = self.torso > 0

    def load(self, split: str) -> Labelled:
        """Images (N, 1, 32, 32), 0 or 1, and labels (N,) of the "train" or "test" set."""
        positions = torch.cartesian_prod(*[torch.arange(4)] * 4)
        tested = positions.sum(1) % 4 == 0
        positions = positions[{"train": ~tested, "test": tested}[split]]
        limbs = self.parts[4 * torch.arange(4) + positions]
        return limbs.sum(1) + self.torso, positions[:, 0]
