"""The shape of the images, which the source knows and the model needs: nobody types it twice."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig


def image_shape(source: DictConfig) -> ListConfig:
    """The shape [C, H, W] of the images of the source that ``source`` describes, as ``conf/data`` has it.

    >>> image_shape(DictConfig({"_target_": "partae.data.Bars", "size": 5}))
    [1, 5, 5]
    """
    return ListConfig(list(instantiate(source).image_shape))
