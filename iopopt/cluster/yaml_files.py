"""YAML as people expect it: ``1e9`` is a number, and a duplicate key is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from iopopt.errors import FileFormatError
from iopopt.network.records import read_text


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads ``1e9`` as a number (a string in YAML 1.1) and rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "a mapping is expected", node.start_mark)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int)) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key if isinstance(key, (str, int)) else id(key_node))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """The content of a YAML document.

    Raises:
        FileFormatError: if it is not YAML; the message begins with ``where`` and gives the line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise FileFormatError(f"{where}: {place}{error.problem or 'is not YAML'}") from None
    except yaml.YAMLError as error:
        raise FileFormatError(f"{where}: is not YAML ({error})") from None
    except (ValueError, LookupError, AttributeError, RecursionError) as error:  # PyYAML lets these escape, for example on the date 2001-99-99
        raise FileFormatError(f"{where}: holds a value that cannot be read ({error})") from None


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file.

    Raises:
        FileFormatError: if the file cannot be read or is not YAML; the message names the file and the line.
    """
    return parse_yaml(read_text(path), str(path))
