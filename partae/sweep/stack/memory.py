"""How many models the memory holds at once."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from partae.model.lightning import Measured

MEMORY_SHARE = 0.5  # of what is free, for the stack


def fitting(model: Measured, batch_size: int, device: torch.device) -> int:
    """About how many models like ``model`` can be trained at once in the memory that is free on ``device``; at least 1.

    A model needs its parameters, their gradients and the optimizer's state some seven times over, and each image of a
    batch about as many copies of its pixels and code.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    values = parameters + batch_size * (model.atoms[0].numel() + len(model.atoms))
    return max(1, int(MEMORY_SHARE * free_memory(device) / (7 * 4 * values)))


def free_memory(device: torch.device) -> int:
    """Bytes of memory that are free on ``device``."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    info = Path("/proc/meminfo")  # Linux counts there what it would give back of its file cache
    if info.exists():
        lines = dict(line.split(":") for line in info.read_text(encoding="utf-8").splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was short; on the CPU torch says so in a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
