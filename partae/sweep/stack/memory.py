"""How many models the memory holds at once."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from partae.model.lightning import Measured

MEMORY_SHARE = 0.5  # of the free memory, for the stack


def largest_stack(model: Measured, batch_size: int, device: torch.device) -> int:
    """How many models like ``model`` the free memory of ``device`` holds in training, by an estimate; at least 1.

    The parameters, their gradients and the state of the optimizer take about seven times the size of the parameters,
    and each image of a batch about as many copies of its pixels and code.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    values = parameters + batch_size * (model.atoms[0].numel() + len(model.atoms))
    return max(1, int(MEMORY_SHARE * free_memory(device) / (7 * 4 * values)))


def free_memory(device: torch.device) -> int:
    """Bytes of memory that are free on ``device``."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    info = Path("/proc/meminfo")  # on Linux: counts what the file cache would give back as free
    if info.exists():
        lines = dict(line.split(":") for line in info.read_text(encoding="utf-8").splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
