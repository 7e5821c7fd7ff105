"""Models that differ in numbers only, trained as one."""

from partae.stack.member import Member
from partae.stack.stack import Stack
from partae.stack.stackable import reason_alone, structure

__all__ = ["Member", "Stack", "reason_alone", "structure"]
