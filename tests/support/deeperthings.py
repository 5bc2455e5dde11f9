"""What DeeperThings' programs choose among, counted one message at a time, and random layers to choose for."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from iopopt.methods.weight_splits.communication import FUSE1, FUSE2, LIP, LOP, WeightSplit
from iopopt.methods.weight_splits.layers import Layer


def every_choice(layers: Sequence[Layer]) -> Iterator[dict[str, WeightSplit]]:
    """All combinations in which each FUSE2 follows a FUSE1 and each FUSE1 has its FUSE2."""
    by_name = {layer.name: number for number, layer in enumerate(layers)}
    follower = {layer.after: layer.name for layer in layers}
    for choice in itertools.product(WeightSplit, repeat=len(layers)):
        splits = {layer.name: split for layer, split in zip(layers, choice, strict=True)}
        pairs = all(splits.get(follower.get(name, "")) is FUSE2 for name, split in splits.items() if split is FUSE1)
        seconds = all(splits.get(layers[by_name[name]].after or "") is FUSE1 for name, split in splits.items() if split is FUSE2)
        if pairs and seconds:
            yield splits


def messages(layers: Sequence[Layer], splits: dict[str, WeightSplit], devices: int) -> float:
    """The elements of all messages: device 0 is the gateway, which has what the first layer reads and wants what the last one gives."""
    follower = {layer.after: splits[layer.name] for layer in layers}
    elements = 0.0
    for layer in layers:
        split, kept = splits[layer.name], splits.get(layer.after or "")
        has_input = split is FUSE2 or (kept is LOP and split in (LOP, FUSE1))
        for _ in range(1, devices):  # the gateway hands out the map, or this device's slice of it
            elements += 0 if has_input else layer.inputs / (devices if split is LIP else 1)
        if split is LOP and follower.get(layer.name) in (LOP, FUSE1):
            elements += sum(layer.outputs / devices for sender in range(devices) for receiver in range(devices) if sender != receiver)
        elif split is not FUSE1:
            for _ in range(1, devices):  # the gateway collects this device's slice, or its partial sums
                elements += layer.outputs / devices if split is LOP else layer.outputs
    return elements


def random_layers(rng: random.Random, count: int) -> list[Layer]:
    """Layers of which most read the one before as it is; maps agree where they do."""
    layers: list[Layer] = []
    for number in range(count):
        joined = bool(layers) and rng.random() < 0.75
        inputs = layers[-1].outputs if joined else rng.randint(1, 60)
        layers.append(Layer(f"l{number}", inputs, rng.randint(1, 60), rng.choice([2, 10, 50]), layers[-1].name if joined else None))
    return layers
