"""Runs plans for real: devices are workers that own their shards of weights and activations and receive the rest in messages.

The arithmetic is PyTorch's (extra ``run``): it has both the operators on slices and, with ``torch.distributed``, the transport between
processes and machines. :func:`iopopt.execute` is the entry point.

A ``worker`` waits for all others before every unit, as equation (6) counts it; an ``overlapping`` one computes while messages travel, as
:func:`iopopt.simulate` says. Both have ``holdings``, ``computing`` and ``recording`` in common, and run over ``mailboxes`` (threads) or ``gloo``.

Offloading plans have their own worker, in ``offloading``, with the same arithmetic and transports.
"""
