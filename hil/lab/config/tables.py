"""Read a table of TOML into a NamedTuple whose annotations say what a key may hold, and find all mistakes."""

from __future__ import annotations

from types import GenericAlias, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Key", "Mistake", "WrongTableError", "keys_of", "read_table", "schema_of"]

Table = TypeVar("Table", bound="tuple[Any, ...]")
_Path: TypeAlias = "tuple[str | int, ...]"
_Check: TypeAlias = "Callable[[Any], Any]"

_MUST_BE: Final = {
    str: "a string: text in quotes",
    int: "an integer: a whole number without quotes",
    float: "a number without quotes",
}
_JSON_TYPES: Final = {str: "string", int: "integer", float: "number"}


class Key(NamedTuple):
    """What a key of a table may hold: text, a number, a tuple of texts, a table, or tables by name.

    It is the metadata of the key's annotation: `Annotated[str | None, Key("...")] = None`.

    Attributes:
        description: What it means, for errors and editors.
        check: Returns the value to keep, or raises ValueError. It gets each item of a list, and each name of
            tables by name.
        rules: A part of what `check` checks, as JSON Schema, for editors.
        examples: Good values, for editors.
        type: The annotation's type without None; `keys_of` tells it.
    """

    description: str
    check: _Check | None = None
    rules: Mapping[str, object] = {}
    examples: tuple[object, ...] = ()
    type: Any = None


class Mistake(NamedTuple):
    """A mistake in a table.

    Attributes:
        path: The keys, and positions in lists, that lead to it.
        value: The wrong value, or the wrong name of a table.
        kind: A key that is unknown or missing, a value of another type, or one that its check refused.
        why: What is allowed; empty if the key is unknown or missing.
    """

    path: _Path
    value: object
    kind: Literal["unknown", "missing", "type", "value"]
    why: str = ""


class WrongTableError(ValueError):
    """A table has mistakes.

    Args:
        mistakes: All of them.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes


def keys_of(table: type[tuple[Any, ...]]) -> dict[str, Key]:
    """Return the keys that a table may have, by name."""
    keys = {}
    for name, annotation in table.__annotations__.items():
        told = annotation.__origin__
        (key,) = annotation.__metadata__
        keys[name] = key._replace(type=get_args(told)[0] if isinstance(told, UnionType) else told)
    return keys


def read_table(table: type[Table], content: object) -> Table:
    """Return what a TOML parser read as a table.

    Raises:
        WrongTableError: It has mistakes.
    """
    reader = _TableReader()
    read: Table = reader.table(table, content, ())
    if reader.mistakes:
        raise WrongTableError(reader.mistakes)
    return read


class _TableReader:
    """Read tables, and go on after a mistake; what it returns then is of no use."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def table(self, table: Any, content: object, path: _Path) -> Any:  # noqa: ANN401 - a NamedTuple
        """Read a table."""
        if not isinstance(content, dict):
            return self._refuse(path, content, "type", "a table")
        keys, read = keys_of(table), dict.fromkeys(table._fields) | table._field_defaults
        for name, key in keys.items():
            if name in content:
                read[name] = self._value(key, content[name], (*path, name))
            elif name not in table._field_defaults:
                self.mistakes.append(Mistake((*path, name), content, "missing"))
        self.mistakes += [
            Mistake((*path, name), value, "unknown") for name, value in content.items() if name not in keys
        ]
        return table(**read)

    def _value(self, key: Key, value: object, path: _Path) -> object:
        if key.type in _MUST_BE:
            return self._plain(key.type, key.check, value, path)
        if not isinstance(key.type, GenericAlias):
            return self.table(key.type, value, path)
        item = get_args(key.type)
        if key.type.__origin__ is tuple:
            if not isinstance(value, list):
                return self._refuse(path, value, "type", "a list of strings")
            return tuple(self._plain(item[0], key.check, one, (*path, at)) for at, one in enumerate(value))
        if not isinstance(value, dict):
            return self._refuse(path, value, "type", "a table")
        return {
            self._plain(str, key.check, name, (*path, name)): self.table(item[1], one, (*path, name))
            for name, one in value.items()
        }

    def _plain(self, wanted: type, check: _Check | None, value: object, path: _Path) -> object:
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            return self._refuse(path, value, "type", _MUST_BE[wanted])
        try:
            return check(value) if check is not None else value
        except ValueError as error:
            return self._refuse(path, value, "value", str(error))

    def _refuse(self, path: _Path, value: object, kind: Literal["type", "value"], why: str) -> object:
        self.mistakes.append(Mistake(path, value, kind, why))
        return None


def schema_of(table: type[tuple[Any, ...]]) -> dict[str, object]:
    """Return the JSON Schema of a table, for editors."""
    keys = keys_of(table)
    defaults = vars(table)["_field_defaults"]
    return {
        "type": "object",
        "description": table.__doc__,
        "properties": {name: _schema_of_key(key, defaults.get(name)) for name, key in keys.items()},
        "required": [name for name in keys if name not in defaults],
        "additionalProperties": False,
    }


def _schema_of_key(key: Key, default: object) -> dict[str, object]:
    about: dict[str, object] = {"description": key.description}
    if default not in (None, (), {}):
        about["default"] = default
    if key.examples:
        about["examples"] = list(key.examples)
    if key.type in _JSON_TYPES:
        return {**about, "type": _JSON_TYPES[key.type], **key.rules}
    if not isinstance(key.type, GenericAlias):
        return {**schema_of(key.type), **about}
    if key.type.__origin__ is tuple:
        return {**about, "type": "array", "items": {"type": "string", **key.rules}}
    table = schema_of(get_args(key.type)[1])
    return {**about, "type": "object", "additionalProperties": table, "propertyNames": dict(key.rules)}
