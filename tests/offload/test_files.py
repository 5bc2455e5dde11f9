"""Offloading instances from files, and every way in which one can be wrong."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.damage import attempt, damaged, without_each_key

from iopopt import FileFormatError, GraphBuilder, UnitWarning, load_cluster, load_model
from iopopt.cluster.yaml_files import parse_yaml
from iopopt.errors import OffloadError
from iopopt.network.records import write_json
from iopopt.offload.files import load_offload_instance, offload_instance_from
from iopopt.offload.instance import Client, Link, OffloadInstance, Server

GOOD = """\
schema_version: 1
bytes_per_element: 2
devices:
  - name: camera
    model: lenet5
    flops_per_s: 8e9
    uplink: {bytes_per_s: 2.5e6, delay_s: 5e-3}
    downlink: {bytes_per_s: 1.3e6}
    input_at: server
    result_at: device
  - name: phone
    model: alexnet
    board: pi4
    uplink: {bytes_per_s: 1.3e6}
servers:
  - {name: near, flops_per_s: 1e11, workers: 4}
  - {name: far, board: server}
"""


def _load(tmp_path: Path, text: str, name: str = "instance.yaml") -> OffloadInstance:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_offload_instance(path)


def _expected() -> OffloadInstance:
    boards = load_cluster("pi4+server").devices
    return OffloadInstance(
        (
            Client("camera", load_model("lenet5"), 8e9, Link(2.5e6, 5e-3), Link(1.3e6), "server", "device"),
            Client("phone", load_model("alexnet"), boards[0].flops_per_s, Link(1.3e6)),
        ),
        (Server("near", 1e11, 4), Server("far", boards[1].flops_per_s)),
        bytes_per_element=2,
    )


def test_good_files(tmp_path: Path) -> None:
    """YAML and JSON say the same; boards stand for their speeds; what is left out is as in Python."""
    assert _load(tmp_path, GOOD) == _expected()
    assert _load(tmp_path, json.dumps(parse_yaml(GOOD, "good")), "instance.json") == _expected()


def test_records_of_instances_are_read_back(tmp_path: Path) -> None:
    """With the networks in them."""
    instance = _expected()
    assert offload_instance_from(json.loads(json.dumps(instance.to_dict()))) == instance
    write_json(tmp_path / "instance.json", instance.to_dict())
    assert load_offload_instance(tmp_path / "instance.json") == instance


def test_networks_are_found_beside_the_file(tmp_path: Path) -> None:
    """Wherever the program runs; an absolute path stays."""
    (tmp_path / "nets").mkdir()
    graph = load_model("lenet5", input_size=64)
    write_json(tmp_path / "nets" / "mine.json", graph.to_dict())
    for name in ("nets/mine.json", str(tmp_path / "nets" / "mine.json")):
        assert _load(tmp_path, GOOD.replace("model: lenet5", f"model: {name}")).clients[0].graph == graph


@pytest.mark.parametrize(
    ("extra", "rows"), [("input_size: 96", (96, 96)), ("input_size: [96, 64]", (96, 64)), ("input_shape: [3, 96, 64]", (96, 64))]
)
def test_the_size_of_the_input(extra: str, rows: tuple[int, int], tmp_path: Path) -> None:
    """As one number, as height and width, or as the whole shape."""
    text = GOOD.replace("    board: pi4\n", f"    board: pi4\n    {extra}\n")
    assert _load(tmp_path, text).clients[1].graph.input_shape == (3, *rows)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{bytes_per_s: 2.5e6, delay_s: 5e-3}", "{bytes_per_s: 0}", r"devices\[0\]: 'uplink': link: bytes_per_s is 0; .*positive finite"),
        ("{bytes_per_s: 1.3e6}\n    input_at", "{bytes_per_s: 0}\n    input_at", r"devices\[0\]: 'downlink': link: bytes_per_s is 0; .*positive"),
        ("delay_s: 5e-3", "delay_s: -1", r"devices\[0\]: 'uplink': link: delay_s is -1; .*at least 0"),
        ("delay_s: 5e-3", "delay: 5e-3", r"'uplink': unknown key 'delay'. Did you mean 'delay_s'\?"),
        ("bytes_per_s: 2.5e6, ", "", r"'uplink': key 'bytes_per_s' is missing"),
        ("    uplink: {bytes_per_s: 1.3e6}\n", "", r"devices\[1\]: key 'uplink' is missing"),
        ("    uplink: {bytes_per_s: 1.3e6}\n", "    uplink: 20\n", r"devices\[1\]: 'uplink': found 20; a mapping"),
        ("workers: 4", "workers: 0", r"servers\[0\]: server 'near': workers is 0; it must be an integer from 1"),
        ("workers: 4", "workers: 1.5", r"servers\[0\]: server 'near': workers is 1.5; it must be an integer from 1"),
        ("workers: 4", "worker: 4", r"servers\[0\]: unknown key 'worker'. Did you mean 'workers'"),
        ("input_at: server", "input_at: nowhere", r"devices\[0\]: device 'camera': input_at is 'nowhere'; it must be 'device' or 'server'"),
        ("input_at: server", "input_at:", "input_at is None; it must be 'device' or 'server'"),
        ("result_at: device", "result_at: cloud", r"device 'camera': result_at is 'cloud'; it must be 'device' or 'server'"),
        ("flops_per_s: 8e9", "flops_per_s: 0", r"devices\[0\]: device 'camera': flops_per_s is 0; .*positive finite"),
        ("flops_per_s: 1e11", "flops_per_s: fast", r"servers\[0\]: server 'near': flops_per_s is 'fast'; .*positive finite"),
        ("    flops_per_s: 8e9\n", "", r"devices\[0\]: 'flops_per_s' or 'board' is missing"),
        ("    flops_per_s: 8e9\n", "    flops_per_s: 8e9\n    board: pi4\n", r"'flops_per_s' and 'board' are both given"),
        ("board: pi4", "board: pi44", r"devices\[1\]: unknown board 'pi44'. Did you mean 'pi4'\? Known: "),
        ("board: pi4", "board: 4", r"devices\[1\]: 'board' is 4; it must be the name of a board"),
        ("board: server", "board: mainframe", r"servers\[1\]: unknown board 'mainframe'. Known: .*server"),
        ("model: lenet5", "model: lenet6", r"devices\[0\]: unknown model 'lenet6'. Did you mean"),
        ("model: lenet5", "model: 5", r"devices\[0\]: 'model' is 5; it must be the name of a network"),
        ("model: lenet5", "model: missing.json", r"devices\[0\]: .*missing\.json: cannot be read"),
        ("model: lenet5", "model: lenet5\n    input_size: 0", r"devices\[0\]: 'input_size' is 0; it must be a positive integer"),
        ("model: lenet5", "model: lenet5\n    input_size: 4", r"devices\[0\]: .*too small|devices\[0\]: .*at least"),
        ("model: lenet5", "model: lenet5\n    input_shape: [3, 32]", r"'input_shape' is \[3, 32\]; it must be a list of channels"),
        ("model: lenet5", "model: lenet5\n    graph: {}", "'model' and 'graph' are both given"),
        ("model: lenet5", "graph: {}", r"devices\[0\]: graph: 'schema_version' is None"),
        ("    model: lenet5\n", "", r"devices\[0\]: 'model' or 'graph' is missing"),
        ("name: phone", "name: camera", "instance: names repeat: 'camera'"),
        ("name: far", "name: phone", "instance: names repeat: 'phone'"),
        ("name: phone", "name: 4", r"devices\[1\]: device: name is 4; it must be a non-empty string"),
        ("bytes_per_element: 2", "bytes_per_element: 0", "instance: bytes_per_element is 0; it must be a positive integer"),
        ("bytes_per_element: 2", "bytes_per_elements: 2", "unknown key 'bytes_per_elements'. Did you mean 'bytes_per_element'"),
        ("schema_version: 1", "schema_version: 2", "'schema_version' is 2; this release reads version 1"),
    ],
)
def test_wrong_files_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    """The message names the file, the part, the key, the value and what is allowed."""
    assert GOOD.count(old) == 1
    with pytest.raises(FileFormatError, match=message) as caught:
        _load(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(str(tmp_path / "instance.yaml"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("devices", "[]", "'devices' is empty; there must be at least one device"),
        ("servers", "[]", "'servers' is empty; there must be at least one server"),
        ("devices", "{a: 1}", r"'devices' is \{'a': 1\}; it must be a list"),
        ("servers", "[3]", r"servers\[0\]: found 3"),
    ],
)
def test_no_device_and_no_server(key: str, value: str, message: str, tmp_path: Path) -> None:
    """Lists that are empty, or none."""
    record = parse_yaml(GOOD, "good") | {key: yaml.safe_load(value)}
    with pytest.raises(FileFormatError, match=message):
        _load(tmp_path, yaml.safe_dump(record))


@pytest.mark.parametrize("key", ["devices", "servers"])
def test_a_missing_list(key: str, tmp_path: Path) -> None:
    """Its key is named."""
    record = parse_yaml(GOOD, "good")
    del record[key]
    with pytest.raises(FileFormatError, match=f"key '{key}' is missing"):
        _load(tmp_path, yaml.safe_dump(record))


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.yaml", r"missing\.yaml: cannot be read"), ("instance.txt", "suffix '.txt' is unknown; .*yaml"), ("instance", "suffix '' is unknown")],
)
def test_no_such_file(name: str, message: str, tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(FileFormatError, match=message):
        load_offload_instance(tmp_path / name)


def test_no_path() -> None:
    """A record is not a path."""
    with pytest.raises(OffloadError, match="a path is expected"):
        load_offload_instance({"schema_version": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("with_graphs", [True, False])
def test_damaged_records(with_graphs: bool, tmp_path: Path) -> None:
    """No damage raises anything but an error that begins with the file's name, whether networks are named or in the record."""
    record: Any = parse_yaml(GOOD.replace("alexnet", "lenet5"), "good")
    if with_graphs:
        net = GraphBuilder("tiny", (1, 4, 4)).conv(2, 3).fc(2).build()
        record = OffloadInstance((Client("camera", net, 8e9, Link(2.5e6)),), (Server("near", 1e11),)).to_dict()
    broken = [(path, each) for path, _, each in damaged(record)] + list(without_each_key(record))
    for path, each in broken:
        _, message = attempt(lambda each: _load(tmp_path, json.dumps(each), "instance.json"), each)
        assert message is None or message.startswith(str(tmp_path)), path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bytes_per_s: 2.5e6", "bytes_per_s: 20", "device 'camera': uplink: bytes_per_s is 20, but .*is it in kB/s, MB/s or Mbit/s"),
        ("bytes_per_s: 2.5e6", "bytes_per_s: 100e6", "device 'camera': uplink: bytes_per_s is 100,000,000, the nominal rate of a 100 Mbit/s"),
        ("delay_s: 5e-3", "delay_s: 5", "device 'camera': uplink: delay_s is 5, .*is it in milliseconds"),
        ("flops_per_s: 8e9", "flops_per_s: 8", "device 'camera': flops_per_s is 8, .*GFLOP/s"),
        ("flops_per_s: 1e11", "flops_per_s: 100", "server 'near': flops_per_s is 100, .*GFLOP/s"),
        ("bytes_per_element: 2", "bytes_per_element: 32", "bytes_per_element is 32, .*is it in bits"),
    ],
)
def test_implausible_figures_warn(old: str, new: str, message: str, tmp_path: Path) -> None:
    """At the caller's line, with the file's name; the figure is used as it is."""
    with pytest.warns(UnitWarning, match=rf"instance\.yaml: {message}") as caught:
        _load(tmp_path, GOOD.replace(old, new))
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


def test_plausible_figures_do_not_warn(tmp_path: Path) -> None:
    """The good file passes in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _load(tmp_path, GOOD)
