"""Instances that several methods are tested on."""

import pytest

from iopopt import load_cluster, load_model


@pytest.fixture(scope="session")
def alexnet():
    return load_model("alexnet")


@pytest.fixture(scope="session")
def edge(alexnet):
    """Speeds 1 : 2 : 4."""
    return load_cluster("edge-x3", alexnet)
