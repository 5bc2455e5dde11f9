"""Clusters by name and from files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.damage import attempt, damaged

from iopopt import Cluster, ClusterError, Device, FileFormatError, Graph, IopoptError, UnitWarning, UnknownNameError, load_cluster

GOOD = """\
schema_version: 1
connection_setup_s: 4e-3
connections: round
source: pi
sink: nano
devices:
  - {name: pi, flops_per_s: 1e9, memory_bytes: 5.0e+8, bandwidth_bytes_per_s: 12_500_000}
  - name: nano
    flops_per_s: 2E9
    memory_bytes: 1e9
    bandwidth_bytes_per_s: 1.25e7
"""


def _load(tmp_path: Path, text: str, name: str = "cluster.yaml") -> Cluster:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_cluster(path)


def test_good_file(tmp_path: Path) -> None:
    """Exponents in any spelling are numbers, and ends may be named."""
    devices = (Device("pi", 1e9, 5e8, 1.25e7), Device("nano", 2e9, 1e9, 1.25e7))
    expected = Cluster(devices, connection_setup_s=4e-3, connections="round", source=0, sink=1)
    assert _load(tmp_path, GOOD) == expected
    assert _load(tmp_path, GOOD, "cluster.YML") == expected
    assert _load(tmp_path, json.dumps(expected.to_dict()), "cluster.json") == expected


def test_merged_devices(tmp_path: Path) -> None:
    """Devices may share figures through YAML's merge key."""
    text = """\
schema_version: 1
devices:
  - &pi {name: one, flops_per_s: 1e9, memory_bytes: 5e8, bandwidth_bytes_per_s: 1e6}
  - {<<: *pi, name: two}
"""
    assert _load(tmp_path, text).devices == (Device("one", 1e9, 5e8, 1e6), Device("two", 1e9, 5e8, 1e6))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory_bytes: 1e9", "memory_bytes: -1e9", r"devices\[1\]: .*'nano': memory_bytes is -1000000000.0; .*positive finite"),
        ("memory_bytes: 1e9", "memory_bytes: 0", r"devices\[1\]: .*memory_bytes is 0; .*positive finite"),
        ("memory_bytes: 1e9", "memory_bytes: .nan", "memory_bytes is nan; .*positive finite"),
        ("memory_bytes: 1e9", "memory_bytes: .inf", "memory_bytes is inf; .*positive finite"),
        ("memory_bytes: 1e9", "memory_bytes: yes", "memory_bytes is True; .*positive finite"),
        ("memory_bytes: 1e9", "memory_bytes: 1 GB", "memory_bytes is '1 GB'; .*positive finite"),
        ("memory_bytes: 1e9", "memory_bytes: '1e9'", "memory_bytes is '1e9'; .*positive finite"),
        ("memory_bytes: 1e9", "memory_bytes:", "memory_bytes is None; .*positive finite"),
        ("bandwidth_bytes_per_s: 1.25e7", "bandwidth_bytes_per_s: 0", "bandwidth_bytes_per_s is 0; .*positive finite"),
        ("    memory_bytes: 1e9\n", "", r"devices\[1\]: key 'memory_bytes' is missing"),
        ("memory_bytes: 1e9", "memory: 1e9", r"devices\[1\]: unknown key 'memory'. Did you mean 'memory_bytes'\? Allowed: "),
        ("connections: round", "conections: round", "unknown key 'conections'. Did you mean 'connections'"),
        ("connections: round", "connections: mesh", "connections is 'mesh'; allowed are 'peer' and 'round'"),
        ("sink: nano", "sink: server", "sink is 'server', which is not a device. Devices: pi, nano"),
        ("sink: nano", "sink: 2", "sink is 2; it must be the index of a device, 0 to 1"),
        ("source: pi", "source: 7", "source is 7; .*0 to 1, or None"),
        ("source: pi", "source: server", "source is 'server', which is not a device"),
        ("  - name: nano", "  - {name: pi, flops_per_s: 1, memory_bytes: 1, bandwidth_bytes_per_s: 1}\n  - name: nano", "device names repeat: pi"),
        ("name: nano", "name: 4", "name is 4; it must be a non-empty string"),
        ("    memory_bytes: 1e9\n", "    memory_bytes: 1e9\n    memory_bytes: 2e9\n", r"line 11, column 5: key 'memory_bytes' is given twice"),
        ("schema_version: 1", "schema_version: 2", "'schema_version' is 2; this release reads version 1"),
        ("schema_version: 1\n", "", "'schema_version' is None"),
        ("connection_setup_s: 4e-3", "connection_setup_s: 2001-99-99", "cannot be read"),
        ("connection_setup_s: 4e-3", "connection_setup_s: !!int four", "cannot be read"),
        ("connection_setup_s: 4e-3", "connection_setup_s: !!bool four", "cannot be read"),
        ("connection_setup_s: 4e-3", "connection_setup_s: !!timestamp four", "cannot be read"),
        ("connection_setup_s: 4e-3", "connection_setup_s: !!map four", "a mapping is expected"),
        ("connection_setup_s: 4e-3", "connection_setup_s: !!python/object:os.system four", "line 2"),
        ("connection_setup_s: 4e-3", "connection_setup_s: 0x" + "f" * 6000, "thousands of digits"),
        ("connection_setup_s: 4e-3", "connection_setup_s: -1", "connection_setup_s is -1; it must be a finite number of at least 0"),
        ("connections: round", "[connections]: round", "unhashable|unknown key"),
        ("connections: round", "bytes_per_element: four", "bytes_per_element is 'four'; it must be a positive integer"),
    ],
)
def test_wrong_files_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    """The message names the file, the key, the value and what is allowed."""
    assert GOOD.count(old) == 1
    with pytest.raises(FileFormatError, match=message) as caught:
        _load(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(str(tmp_path / "cluster.yaml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found None"),
        (b"pi4", "found 'pi4'"),
        (b"schema_version: 1\ndevices: []\n", r"'devices' is \[\]; it must be a list of at least one device"),
        (b"schema_version: 1\ndevices: {a: 1}\n", "it must be a list of at least one device"),
        (b"schema_version: 1\ndevices: [3]\n", r"devices\[0\]: found 3"),
        (b"schema_version: 1\n", "key 'devices' is missing"),
        (b"devices: [", "line 1"),
        (b"a: b: c\n", "line 1, column 5"),
        (b"\t- a\n", "line 1"),
        (b"\xff\xfe\x00\x01", "is not UTF-8 text"),
        (b"a: \x07\n", "not YAML"),
        (b"[" * 20_000, "cannot be read"),
    ],
)
def test_no_cluster_at_all(content: bytes, message: str, tmp_path: Path) -> None:
    """Empty, malformed, binary and hostile files are refused by name, with the line where there is one."""
    path = tmp_path / "cluster.yaml"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        load_cluster(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_missing_files_and_directories(suffix: str, tmp_path: Path) -> None:
    """A path that is missing or a directory is refused by name."""
    (tmp_path / f"folder.{suffix}").mkdir()
    for name in (f"missing.{suffix}", f"folder.{suffix}"):
        with pytest.raises(FileFormatError, match=f"{name}: cannot be read"):
            load_cluster(tmp_path / name)


def test_duplicate_json_keys(tmp_path: Path) -> None:
    """A key given twice is a mistake in JSON too."""
    with pytest.raises(FileFormatError, match="'schema_version' is given twice"):
        _load(tmp_path, '{"schema_version": 1, "schema_version": 1, "devices": []}', "cluster.json")


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_damaged_files(suffix: str, tmp_path: Path) -> None:
    """No damage to a file raises anything but FileFormatError that begins with the file's name."""
    record: Any = yaml.safe_load(yaml.safe_dump(Cluster((Device("a", 1e9, 1e9, 1e6), Device("b", 2e9, 1e9, 1e6))).to_dict()))
    for path, wrong, broken in damaged(record):
        text = json.dumps(broken) if suffix == "json" else yaml.safe_dump(broken)
        _, message = attempt(lambda text: _load(tmp_path, text, f"cluster.{suffix}"), text)
        assert message is None or message.startswith(str(tmp_path)), (path, wrong)


@pytest.mark.parametrize(("figure", "rate"), [("100e6", "100 Mbit/s"), ("1e9", "1000 Mbit/s"), ("54000000", "54 Mbit/s")])
def test_bits_for_bytes_warn(figure: str, rate: str, tmp_path: Path) -> None:
    """A bandwidth that is the nominal rate of a link in bits warns, at the caller's line, with the figure in bytes; the value is kept."""
    with pytest.warns(UnitWarning, match=f"'nano'.*{rate}.*in bytes that is {float(figure) / 8:,.0f}") as caught:
        cluster = _load(tmp_path, GOOD.replace("1.25e7", figure))
    assert cluster.devices[1].bandwidth_bytes_per_s == float(figure)
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


def test_plausible_bandwidths_do_not_warn(tmp_path: Path) -> None:
    """Figures that are no nominal rate pass in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _load(tmp_path, GOOD)


def test_presets_and_instances(trio_graph: Graph) -> None:
    """A name is a preset of boards or, with a graph, a reference instance."""
    assert len(load_cluster("pi4-x3")) == 3
    assert len(load_cluster("edge-x4", trio_graph)) == 4
    with pytest.raises(ClusterError, match=r"'edge-x4' is a reference instance.*pass graph="):
        load_cluster("edge-x4")


@pytest.mark.parametrize("name", ["pi5-x3", "pi4-x0", "edge", "edge-x3-lose", "", "x", "cluster.txt", "a\0b"])
def test_unknown_names(name: Any, trio_graph: Graph) -> None:
    """A name that is nothing raises UnknownNameError that lists what exists."""
    with pytest.raises(UnknownNameError, match=r"unknown cluster.*Known: .*edge-x3.*pi4-x3"):
        load_cluster(name, trio_graph)


@pytest.mark.parametrize("name", [None, 3, {"schema_version": 1}, Cluster((Device("a", 1, 1, 1),))])
def test_what_is_no_name_and_no_path(name: Any) -> None:
    """Anything but a name or a path is refused with its type and what reads a record."""
    with pytest.raises(ClusterError, match=rf"\(an? {type(name).__name__}\); a name or a path is expected \(Cluster\.from_dict|found None; a name"):
        load_cluster(name)


def test_unknown_names_suggest_the_nearest() -> None:
    """A slip of the finger is answered with the nearest name."""
    with pytest.raises(UnknownNameError, match="Did you mean 'pi4-x3'"):
        load_cluster("pi4-3")


def test_unknown_links_suggest_the_nearest() -> None:
    """A link that does not exist is refused with the nearest that does."""
    with pytest.raises(IopoptError, match=r"unknown link 'wfi'. Did you mean 'wifi'"):
        load_cluster("pi4-x3@wfi")
