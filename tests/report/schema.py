"""What the tests of reports check JSON by: they run without the package that knows all of JSON Schema."""

from typing import Any

KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def fits(value: Any, schema: dict[str, Any], at: str = "report") -> None:
    """Check a value against the part of JSON Schema that report.schema.json uses."""
    if "const" in schema:
        assert value == schema["const"], at
    if "enum" in schema:
        assert value in schema["enum"], at
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(isinstance(value, KINDS[name]) for name in names), at
        assert not isinstance(value, bool), at
    if isinstance(value, dict):
        known = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value), at
        more = schema.get("additionalProperties", True)
        for name, each in value.items():
            assert name in known or more is not False, f"{at}.{name}"
            fits(each, known.get(name, more if isinstance(more, dict) else {}), f"{at}.{name}")
    if isinstance(value, list):
        for k, each in enumerate(value):
            fits(each, schema.get("items", {}), f"{at}[{k}]")
