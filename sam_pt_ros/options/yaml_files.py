"""Strict reading of YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sam_pt_ros.errors import UserError, one_line


class _StrictLoader(yaml.SafeLoader):
    """Refuses duplicate keys: PyYAML keeps the last value, ROS both."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for position, key in enumerate(keys):
            if key.value in {earlier.value for earlier in keys[:position]}:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' is given twice", key.start_mark
                )
        return node


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; UserError if it cannot be read or is not valid YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, not a date, ...
        reason = one_line(error)
        raise UserError(f"{path}: not valid YAML: {reason}") from error
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply") from error
    except (LookupError, AttributeError, TypeError) as error:
        # PyYAML raises these for '!!bool maybe', an empty '!!int' and '!!timestamp x'.
        raise UserError(f"{path}: a value does not match its YAML tag (!!)") from error
