"""Files that are no ONNX models, or parts of one, and the reader's own arguments."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_files import floats, light_models, model, node, save

from iopopt import FileFormatError, Graph, GraphError, IopoptError, MissingExtraError, load_model
from iopopt.models import load_weights

CONV = {"w": floats(6, 3, 3, 3), "b": floats(6, seed=1)}


def refused(path: Path) -> str:
    """The message with which a file is refused."""
    with pytest.raises(FileFormatError) as error:
        load_model(path)
    assert str(path) in str(error.value)
    return str(error.value)


def attempt(path: Path) -> tuple[Graph | None, str | None]:
    """The network of a file, or the message with which it is refused; any other exception escapes."""
    try:
        return load_model(path), None
    except IopoptError as error:
        return None, str(error)


def test_what_is_no_model(tmp_path: Path) -> None:
    """Nothing, a directory, an empty file, text and random bytes are refused, each in its own words."""
    path = tmp_path / "net.onnx"
    assert "there is no such file" in refused(path)
    path.mkdir()
    assert "is a directory" in refused(path)
    path.rmdir()
    path.write_bytes(b"")
    assert "the file is empty" in refused(path)
    path.write_text("This is no model.\n" * 100)
    assert "is not an ONNX model: it is a text that begins with 'This is no model." in refused(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "git lfs pull" in refused(path)
    path.write_bytes(b"PK\3\4" + bytes(1000))
    assert "is a zip archive" in refused(path)
    for seed in range(50):
        path.write_bytes(np.random.default_rng(seed).bytes(1000))
        refused(path)
    with pytest.raises(FileFormatError, match=r"cannot be read|no such file"):
        load_model("a\0b.onnx")


def test_every_cut(tmp_path: Path) -> None:
    """A file cut at any byte is refused or, where only notes behind the graph are lost, still the same network."""
    whole = model([node("Conv", "x w b", "c"), node("Relu", "c", "y")], CONV | {"w": floats(2, 3, 3, 3), "b": floats(2)}).SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(whole)
    expected = load_model(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found, message = attempt(path)
        assert found == expected if message is None else message.startswith(str(path))


@pytest.mark.parametrize("name", light_models())
def test_cut_light_models(name: str, tmp_path: Path) -> None:
    """Light models cut anywhere are refused as damaged."""
    whole, path = light_models()[name].read_bytes(), tmp_path / "net.onnx"
    for length in np.random.default_rng(1).integers(0, len(whole) - 5, 40):
        path.write_bytes(whole[:length])
        refused(path)


def test_flipped_bytes(tmp_path: Path) -> None:
    """Whatever a damaged byte does, it ends in a network or in an error of iopopt."""
    whole, path = light_models()["squeezenet"].read_bytes(), tmp_path / "net.onnx"
    rng = np.random.default_rng(2)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        _, message = attempt(path)
        assert message is None or message.startswith(str(path))


def beside(directory: Path, **entries: str) -> Path:
    """A model whose kernel is said to lie in another file."""
    written = model([node("Conv", "x w b", "y")], CONV)
    kernel = written.graph.initializer[0]
    kernel.ClearField("raw_data")
    kernel.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        kernel.external_data.add(key=key, value=value)
    return save(written, directory / "net.onnx")


SIZE = 6 * 3 * 3 * 3 * 4


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "gone.bin"}, "'gone.bin' are missing"),
        ({"location": "../weights.bin"}, "'../weights.bin' are outside the directory"),
        ({"location": "/etc/passwd"}, "'/etc/passwd' are outside"),
        ({"location": "link.bin"}, "'link.bin' are outside"),
        ({"location": ""}, "are outside"),
        ({}, "are outside"),
        ({"location": "."}, "missing"),
        ({"location": "weights.bin", "offset": "8"}, f"which has {SIZE}"),
        ({"location": "weights.bin", "length": "8"}, f"take {SIZE}"),
        ({"location": "weights.bin", "length": str(10**15)}, f"which has {SIZE}"),
        ({"location": "weights.bin", "offset": "-8"}, "offset of its external data is '-8'"),
        ({"location": "weights.bin", "offset": str(10**15)}, "external data"),
    ],
)
def test_external_data_that_are_not_there(entries: dict[str, str], message: str, tmp_path: Path) -> None:
    """Data beside the file must be in its directory and of the right size; no path leads out of it."""
    (tmp_path / "weights.bin").write_bytes(b"\0" * SIZE)
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "weights.bin").write_bytes(b"\0" * SIZE)
    (directory / "link.bin").symlink_to(tmp_path / "weights.bin")
    found = refused(beside(directory, **entries))
    assert "initializer 'w'" in found
    assert message in found


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where onnx is not installed, the message says how to install it."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else found(name, *rest))
    with pytest.raises(MissingExtraError, match=r'pip install "iopopt\[onnx\]"'):
        load_model(tmp_path / "net.onnx")


def test_the_package_is_loaded_late() -> None:
    """Nothing of iopopt but the reader imports onnx."""
    code = "import sys, iopopt, iopopt.__main__; iopopt.load_model('lenet5'); print('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_arguments_for_other_networks(tmp_path: Path) -> None:
    """input_size is for the zoo; input_shape for the zoo and ONNX, with the zoo's own channels; weights are read from ONNX alone."""
    path = save(model([node("Conv", "x w b", "y")], CONV), tmp_path / "net.onnx")
    with pytest.raises(FileFormatError, match="use input_size for the zoo"):
        load_model(path, input_size=32)
    with pytest.raises(FileFormatError, match="from JSON has its input shape already"):
        load_model("net.json", input_shape=(3, 8, 8))
    assert load_model("vgg11", input_shape=(3, 64, 96)) == load_model("vgg11", input_size=(64, 96))
    with pytest.raises(GraphError, match="has 1 channels; the network reads 3"):
        load_model("vgg11", input_shape=(1, 64, 64))
    with pytest.raises(GraphError, match="three integers"):
        load_model("vgg11", input_shape=(64, 64))
    with pytest.raises(GraphError, match="one is enough"):
        load_model("vgg11", input_shape=(3, 64, 64), input_size=64)
    with pytest.raises(FileFormatError, match=r"weights are read from \.onnx files"):
        load_weights("vgg11")
