"""Models that differ in numbers only, trained as one."""

from partae.sweep.stack.lockstep import Stack
from partae.sweep.stack.member import Member
from partae.sweep.stack.stackable import reason_alone, structure

__all__ = ["Member", "Stack", "reason_alone", "structure"]
