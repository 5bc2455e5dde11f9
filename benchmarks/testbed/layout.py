"""The parts of a testbed: its devices, the names of everything that it creates, and the commands that create it. Nothing is run here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from iopopt.cluster.cluster import Cluster, Device
from iopopt.errors import FileFormatError

PREFIX = "iopopt-tb-"
"""The prefix of all namespaces and control groups, which identifies leftovers."""

_NOMINAL_CORE_FLOPS_PER_S = 18e9  # only an initial value: calibration replaces it before plans are chosen
_MEMORY_BYTES = 8e9  # never a limit here: the testbed is about time


@dataclass(frozen=True)
class Node:
    """One emulated device: its share of one processor core (0.25 is a quarter), and the rate of its link, bit/s in each direction."""

    cpu_share: float
    rate_bits_per_s: float


def parse_node(text: str) -> Node:
    """A node from ``CPU:MBIT``, such as ``0.25:50``.

    Raises:
        FileFormatError: if the text is anything else.
    """
    match = re.fullmatch(r"(\d*\.?\d+):(\d*\.?\d+)", text)
    node = Node(float(match[1]), float(match[2]) * 1e6) if match else Node(0.0, 0.0)
    if not 0 < node.cpu_share <= 1 or not node.rate_bits_per_s > 0:
        raise FileFormatError(f"node {text!r}: CPU:MBIT is expected, a share of a core above 0 and up to 1 and a rate above 0, such as 0.25:50")
    return node


def nominal_cluster(nodes: tuple[Node, ...]) -> Cluster:
    """The cluster that the settings describe, before calibration: every device has the input, device 0 needs the output.

    Without a source, no edge has a device that only sends, whose time is not measured and therefore not calibrated.
    """
    devices = tuple(
        Device(f"node{j}", node.cpu_share * _NOMINAL_CORE_FLOPS_PER_S, _MEMORY_BYTES, node.rate_bits_per_s / 8) for j, node in enumerate(nodes)
    )
    return Cluster(devices, connection_setup_s=1e-3, source=None, sink=0)


@dataclass(frozen=True)
class Names:
    """The names of everything that one testbed creates; ``token`` distinguishes testbeds that run at the same time."""

    token: str

    @property
    def hub(self) -> str:
        """The namespace of the bridge."""
        return f"{PREFIX}{self.token}-hub"

    def node(self, device: int) -> str:
        """The namespace, and the control group, of one device."""
        return f"{PREFIX}{self.token}-{device}"

    @staticmethod
    def port(device: int) -> str:
        """The hub's end of a device's link."""
        return f"port{device}"

    @staticmethod
    def address(device: int) -> str:
        """A device's IPv4 address; the testbed reaches nothing else, so any private network will do."""
        return f"10.77.0.{device + 1}"


def leftovers(listed: list[str]) -> list[str]:
    """Those of the listed namespaces or control groups that belong to a testbed."""
    return [name for name in listed if name.startswith(PREFIX)]


def shape_command(namespace: str, interface: str, rate_bits_per_s: float) -> list[str]:
    """Commands that limit the traffic out of an interface.

    The bucket holds 2 ms of traffic (at least some full frames), so that a transfer gets the nominal rate from its start; the queue holds a
    second, so that TCP is held back by its window and not by losses.
    """
    bytes_per_s = int(rate_bits_per_s / 8)
    burst_bytes = max(8000, bytes_per_s // 500)
    bucket = ["rate", f"{8 * bytes_per_s}bit", "burst", str(burst_bytes), "limit", str(bytes_per_s + burst_bytes)]
    return ["tc", "-n", namespace, "qdisc", "add", "dev", interface, "root", "tbf", *bucket]


def network_commands(names: Names, nodes: tuple[Node, ...]) -> list[list[str]]:
    """The commands that join the devices to one bridge; veth ends are created in their namespaces, so the host never sees them."""
    commands = [
        ["ip", "netns", "add", names.hub],
        ["ip", "-n", names.hub, "link", "add", "name", "bridge0", "type", "bridge"],
        ["ip", "-n", names.hub, "link", "set", "bridge0", "up"],
    ]
    for j, node in enumerate(nodes):
        mine, port = names.node(j), names.port(j)
        commands += [
            ["ip", "netns", "add", mine],
            ["ip", "-n", names.hub, "link", "add", "name", port, "type", "veth", "peer", "name", "eth0", "netns", mine],
            ["ip", "-n", names.hub, "link", "set", port, "master", "bridge0", "up"],
            ["ip", "-n", mine, "address", "add", f"{names.address(j)}/24", "dev", "eth0"],
            ["ip", "-n", mine, "link", "set", "eth0", "up"],
            ["ip", "-n", mine, "link", "set", "lo", "up"],
            shape_command(mine, "eth0", node.rate_bits_per_s),
            shape_command(names.hub, port, node.rate_bits_per_s),
        ]
    return commands


def cores_of(nodes: tuple[Node, ...], cores: list[int]) -> list[int]:
    """A core for each device: the largest share first, on the core with the least load."""
    taken, chosen = dict.fromkeys(cores, 0.0), [0] * len(nodes)
    for device in sorted(range(len(nodes)), key=lambda j: -nodes[j].cpu_share):
        core = min(cores, key=lambda number: taken[number])
        taken[core] += nodes[device].cpu_share
        chosen[device] = core
    return chosen


PACEMAKER = "import time\nwhile True:\n    time.sleep(0.0004)"
"""A program that wakes up all the time, in the control group and on the core of a device.

The kernel looks at a quota when a task of the group wakes up, or at the clock tick (4 ms at 250 Hz). With ticks alone a device of a fifth of
a core runs for 4 ms instead of 2 ms and is stopped for longer afterwards: short operators look too fast and the barrier after them too slow.
"""


def start_command(names: Names, device: int, core: int, group: str, command: list[str]) -> list[str]:
    """The command that runs ``command`` in a device's control group (the file ``group`` takes process ids) and namespace, on one core.

    It enters the group before anything else, and the kernel kills it when the starting process ends, however that ends.
    """
    inside = ["taskset", "-c", str(core), "setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/run/netns/{names.node(device)}", *command]
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', group, *inside]


def node_environment(names: Names, device: int, devices: int) -> dict[str, str]:
    """The environment of a rank: the meeting point, one thread, and the arithmetic of a small board.

    With the widest vector instructions a core computes convolutions twenty times as fast as it can read the weights of a fully connected
    operator, and no single speed f_j describes both. With plain SSE code the two differ by a factor of about two, as on the small boards of
    the paper.
    """
    return {
        "RANK": str(device),
        "WORLD_SIZE": str(devices),
        "MASTER_ADDR": names.address(0),
        "MASTER_PORT": "29500",
        "GLOO_SOCKET_IFNAME": "eth0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MKL_CBWR": "COMPATIBLE",
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # otherwise it warns that addresses have no names here
        "ATEN_CPU_CAPABILITY": "default",
    }
