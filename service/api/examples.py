"""Examples for the OpenAPI document, put together from those that fields and models give.

So every operation has one, a new one too, and none can stay behind when a field changes. A test holds each against
its schema.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Examples"]

Json = dict[str, Any]
_ULID = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
# What a field of this name is like where it does not say so itself.
_NAMED: Json = {
    "account": "night-desk",
    "address": "192.168.1.7",
    "camera_id": "car-park-north",
    "camera_name": "Car park north",
    "cosine": 0.82,
    "digest": "9f2c1e7a40b3d5886c1f0e2d3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69",
    "from_camera_id": "car-park-north",
    "id": _ULID,
    "model_hash": "b7e1c5a90d2f4e68",
    "name": "Car park north",
    "note": "Ranked by likeness: evidence, never proof.",
    "password": "correct-horse-battery",
    "current": "correct-horse-battery",
    "new": "staple-battery-horse",
    "photo_id": "kq3bYw0tY1x8ZpQ7mVhN2sRd",
    "probability": 0.93,
    "quality": 0.81,
    "reason": "Missing child, case 2026-118",
    "request_id": "5f0c2a1e9b7d4c38",
    "seconds": 45,
    "since": "2026-03-01T18:00:00Z",
    "started_at": "2026-03-01T18:00:00Z",
    "to_camera_id": "car-park-south",
    "token": "tapetum_example-of-a-token-that-opens-nothing",
    "tracklet_id": _ULID,
    "url": "rtsp://viewer:secret@192.168.1.20:554/stream1",
}
_OF_FORMAT = {"date-time": "2026-03-01T18:04:00Z", "date": "2026-03-01", "binary": "…", "password": "a-long-password"}
_DEPTH = 8


class Examples:
    """Makes examples of a document's schemas.

    Args:
        schemas: `components.schemas` of the document.
    """

    def __init__(self, schemas: Json) -> None:
        self._schemas = schemas

    def add_to(self, operation: Json) -> None:
        """Give an operation's JSON body and its successful JSON answers an example each."""
        for content in self._json(operation.get("requestBody", {})):
            content.setdefault("example", self.of(content["schema"], short=True))
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                for content in self._json(response):
                    content.setdefault("example", self.of(content["schema"]))

    @staticmethod
    def _json(holder: Json) -> list[Json]:
        found = holder.get("content", {}).get("application/json")
        return [found] if found and "schema" in found else []

    def of(self, schema: Json, name: str = "", *, short: bool = False, depth: int = 0) -> Any:
        """An example of a schema.

        Args:
            name: of the field.
            short: leave out what has a default, as one would in a request.
        """
        given = schema.get("examples")
        if given and isinstance(given[0], dict):
            # FastAPI leaves out what is null, also in examples.
            return {**dict.fromkeys(schema.get("required", ())), **given[0]}
        if given:
            return given[0]
        if "$ref" in schema:
            return self.of(self._schemas[schema["$ref"].rpartition("/")[2]], name, short=short, depth=depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        alternatives = schema.get("anyOf") or schema.get("oneOf") or []
        options = [one for one in alternatives if one.get("type") != "null"]
        if options and "properties" not in schema:
            return self.of({**_rest(schema), **options[0]}, name, short=short, depth=depth)
        return self._by_type(schema, name, short, depth)

    def _by_type(self, schema: Json, name: str, short: bool, depth: int) -> Any:
        kind = schema.get("type")
        if kind == "object" or "properties" in schema:
            return self._object(schema, short, depth)
        if kind == "array":
            return self._array(schema, name, short, depth)
        if kind == "boolean":
            return schema.get("default", True)
        if name in _NAMED:
            return _NAMED[name]
        if schema.get("default") is not None:
            return schema["default"]
        if kind in ("integer", "number"):
            least: float = schema.get("minimum") or schema.get("exclusiveMinimum") or 0
            most: float = schema.get("maximum") or schema.get("exclusiveMaximum") or least + 1
            return int(min(least + 1, most))
        return _OF_FORMAT.get(schema.get("format", ""), name.replace("_", " ") or "text")

    def _object(self, schema: Json, short: bool, depth: int) -> Json:
        fields = schema.get("properties", {})
        if not fields or depth > _DEPTH:
            return {}
        required = schema.get("required", [])
        choices = [one.get("required", []) for one in schema.get("oneOf", ())]
        if choices:  # of which exactly one is given
            required = [*required, *choices[0]]
            others = {n for one in choices[1:] for n in one}
            fields = {n: one for n, one in fields.items() if n not in others}
        wanted = [n for n, one in fields.items() if not short or n in required or one.get("examples")]
        return {n: self.of(fields[n], n, short=short, depth=depth + 1) for n in wanted}

    def _array(self, schema: Json, name: str, short: bool, depth: int) -> list[Any]:
        singular = {"cameras": "camera_id", "exclude_cameras": "camera_id", "camera_ids": "camera_id"}
        name = singular.get(name, name.removesuffix("s"))
        if "prefixItems" in schema:
            return [self.of(one, name, short=short, depth=depth + 1) for one in schema["prefixItems"]]
        count = max(schema.get("minItems", 1), 1) if depth <= _DEPTH else 0
        return [self.of(schema["items"], name, short=short, depth=depth + 1)] * count


def _rest(schema: Json) -> Json:
    """What a schema says beside its alternatives."""
    return {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "default", "title")}
