"""The program of the memory breakpoint against enumeration, and at published networks."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from support.deeperthings import CONVOLUTIONS, krizhevsky_alexnet

from iopopt import Graph, TimeUpError, load_model
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.weight_splits.layers import Layer, weight_layers
from iopopt.methods.weight_splits.memory_breakpoint import held_elements, memory_breakpoint
