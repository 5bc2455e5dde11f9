"""Runs offloading plans for real: every device and every worker of every server is a worker of its own, and paths' tensors are messages.

``schedule`` says who computes and sends what, ``worker`` does it on one of them, ``threads`` starts all of them, and ``execution`` is what comes
out. :func:`iopopt.execute_offload` is the entry point.
"""

from iopopt.executor.offloading.execution import OffloadExecution, OffloadTransfer
from iopopt.executor.offloading.threads import execute_offload

__all__ = ["OffloadExecution", "OffloadTransfer", "execute_offload"]
