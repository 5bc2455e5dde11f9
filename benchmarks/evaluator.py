"""Plans priced per second: by the evaluator, one by one, and by the vectorised form. ``python -m benchmarks.evaluator``"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import iopopt
from benchmarks.command_line import run
from iopopt.methods.swarm.decoder import Decoder


def rate(work: Callable[[], int], seconds: float) -> float:
    """Plans per second of processor time, over at least ``seconds``."""
    work()
    start, plans = time.process_time(), 0
    while time.process_time() - start < seconds:
        plans += work()
    return plans / (time.process_time() - start)


def measure(model: str, cluster_name: str, batch_size: int, seconds: float) -> tuple[float, float]:
    """Rates of the evaluator and of the vectorised form on the same random plans."""
    graph = iopopt.load_model(model)
    cluster = iopopt.load_cluster(cluster_name, graph)
    decoder = Decoder(graph, cluster, range(len(cluster)))
    batch = decoder.decode(np.random.default_rng(0).random((batch_size, decoder.dimensions)))
    plans = [batch.plan(graph, number) for number in range(50)]
    pricer = iopopt.Pricer(graph, cluster)
    scalar = rate(lambda: len([iopopt.evaluate(graph, cluster, plan) for plan in plans]), seconds)
    return scalar, rate(lambda: len(pricer.price(batch).latency_s), seconds)


def main() -> None:
    """Print the rates of each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=5000, help="plans in one batch (default: 5000)")
    parser.add_argument("--seconds", type=float, default=2.0, help="processor time of each measurement (default: 2)")
    options = parser.parse_args()
    rows = []
    for model, cluster in (("lenet5", "mcu-x3"), ("alexnet", "edge-x3"), ("vgg16", "edge-x3"), ("vgg16", "edge-x8")):
        scalar, vectorised = measure(model, cluster, options.batch, options.seconds)
        rows.append({"model": model, "cluster": cluster, "evaluate_per_s": round(scalar), "vectorised_per_s": round(vectorised)})
        rows[-1]["ratio"] = round(vectorised / scalar)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    run(main)
