"""`response_format` of a chat: JSON mode, inside what engines compile safely.

Engines compile a schema to a grammar. Bad patterns, endless recursion and huge repetitions have
stopped whole engines (CVE-2025-48942, -48943, -48944 of vLLM, -57809 of xgrammar), so a schema
is read as these types only: no `pattern`, no recursion, bounded counts, depth and size.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from appliance.errors import FormatError

NODES_MAX, DEPTH_MAX = 500, 16
_REF = "#/$defs/"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Note = Annotated[str, msgspec.Meta(max_length=2_000)]
Scalar = Annotated[str, msgspec.Meta(max_length=1_000)] | int | float | bool | None
Length = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=100)]
Bound = Annotated[int, msgspec.Meta(gt=-(2**31), lt=2**31)]
TypeName = Literal["object", "array", "string", "number", "integer", "boolean", "null"]


class Schema(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """The part of JSON Schema that is let through."""

    type: TypeName | list[TypeName] | None = None
    properties: Annotated[dict[Name, "Schema"], msgspec.Meta(max_length=100)] | None = None
    required: Annotated[list[Name], msgspec.Meta(max_length=100)] | None = None
    additional_properties: "bool | Schema | None" = None
    items: "Schema | None" = None
    enum: Annotated[list[Scalar], msgspec.Meta(min_length=1, max_length=200)] | None = None
    const: Scalar | msgspec.UnsetType = msgspec.UNSET
    default: Scalar | msgspec.UnsetType = msgspec.UNSET
    any_of: Annotated[list["Schema"], msgspec.Meta(min_length=1, max_length=20)] | None = None
    format: Literal["date", "time", "date-time", "uuid"] | None = None
    min_length: Length | None = None
    max_length: Length | None = None
    min_items: Count | None = None
    max_items: Count | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None
    title: Note | None = None
    description: Note | None = None
    ref: Name | None = msgspec.field(name="$ref", default=None)
    defs: Annotated[dict[Name, "Schema"], msgspec.Meta(max_length=50)] | None = msgspec.field(
        name="$defs", default=None
    )

    def below(self) -> "Iterator[Schema]":
        """Return the schemas inside this one, definitions apart."""
        yield from (self.properties or {}).values()
        yield from self.any_of or ()
        yield from (
            s for s in (self.items, self.additional_properties) if isinstance(s, Schema)
        )


class NamedSchema(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A schema as OpenAI's clients send it."""

    name: Name
    schema: Schema
    strict: bool | None = None
    description: Note | None = None


class PlainText(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Text, the default."""


class JsonObject(
    msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="json_object"
):
    """Any JSON object."""


class JsonSchema(
    msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="json_schema"
):
    """JSON of a given form."""

    json_schema: NamedSchema


ResponseFormat = PlainText | JsonObject | JsonSchema


def check(wanted: ResponseFormat | None) -> None:
    """Let a format pass.

    Raises:
        FormatError: Its schema is recursive, too deep, too long, or refers to nothing.
    """
    if isinstance(wanted, JsonSchema):
        root = wanted.json_schema.schema
        left = _walk(root, root.defs or {}, 0, NODES_MAX)
        for schema in (root.defs or {}).values():
            left = _walk(schema, root.defs or {}, 0, left)


def _walk(schema: Schema, defs: dict[str, Schema], depth: int, left: int) -> int:
    """Return how many nodes of `left` remain. A circle of references is too deep."""
    if depth > DEPTH_MAX or left <= 0:
        raise FormatError("the schema is recursive, too deep or too long")
    if schema.defs and depth:
        raise FormatError("$defs belong at the top of the schema")
    left -= 1
    if schema.ref is not None:
        target = (
            defs.get(schema.ref.removeprefix(_REF)) if schema.ref.startswith(_REF) else None
        )
        if target is None:
            raise FormatError("$ref names nothing in $defs")
        left = _walk(target, defs, depth + 1, left)
    for child in schema.below():
        left = _walk(child, defs, depth + 1, left)
    return left
