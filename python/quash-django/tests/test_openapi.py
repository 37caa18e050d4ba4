"""The descriptions that drf-spectacular writes."""

from typing import Any

from drf_spectacular.generators import SchemaGenerator


def test_both_classes_are_described(settings: Any) -> None:
    generator: Any = SchemaGenerator
    schema = generator().get_schema(request=None, public=True)
    assert schema["components"]["securitySchemes"] == {
        "jwtAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert schema["paths"]["/me/"]["get"]["security"] == schema["paths"]["/stateless/"]["get"]["security"]
