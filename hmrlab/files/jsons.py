"""One reader for JSON: of a stated size, and of the layout that a type describes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from hmrlab.files.opening import MAX_TEXT_BYTES, FileProblem, read_bytes

Count = Annotated[int, Ge(0), Le(10**9)]
"""A number of things, for layouts."""
Positive = Annotated[float, Gt(0), Le(1e9)]
"""A finite number above 0, for layouts."""


def read_json(
    path: str | Path,
    layout: Any,
    *,
    max_bytes: int = MAX_TEXT_BYTES,
    remedy: str = "It may be cut short: get it anew.",
    missing: str = "",
) -> Any:
    """What a JSON file holds, as an instance of the type that describes it.

    The layout is a dataclass, or any type of such and of plain values: `list[float]`,
    `dict[str, Any]`. Keys that a dataclass does not name are passed over. Messages say the remedy
    where the file is not readable, and `missing` where nothing is there.

    Raises:
        FileProblem: it is missing, no regular file, larger, no JSON, or of another layout; the
            message says where in it.
    """
    content = read_bytes(path, max_bytes, missing)
    try:
        return parse_json(content, layout)
    except ValueError as error:
        raise FileProblem(f"{path}: {error}. {remedy}".rstrip()) from error


def parse_json(text: bytes | str, layout: Any) -> Any:
    """What JSON text holds, as a type describes it; see `read_json`.

    Raises:
        ValueError: it is no JSON, or of another layout; the message says where and what.
    """
    from pydantic import ValidationError

    try:
        return _validator(layout).validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(_first_problem(error)) from error
    except RecursionError as error:
        raise ValueError("not readable as JSON: lists within lists too deep") from error


@cache
def _validator(layout: Any) -> Any:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_up_to_the_first(TypeAdapter(layout).core_schema))


def _up_to_the_first(schema: Any) -> Any:
    """The same schema, which stops at a list's first problem: of millions, each takes memory."""
    if isinstance(schema, list):
        return [_up_to_the_first(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    stops = {"fail_fast": True} if schema.get("type") in ("list", "dict") else {}
    return {key: _up_to_the_first(part) for key, part in schema.items()} | stops


def _first_problem(error: Any) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"not readable as JSON: {first['ctx']['error']}"
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    found = repr(first["input"])
    found = found if len(found) <= 60 else f"{found[:57]}..."
    lacks = "" if first["type"] == "missing" else f", found {found}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where.lstrip('.') or 'its content'}: {first['msg']}{lacks}{more}"
