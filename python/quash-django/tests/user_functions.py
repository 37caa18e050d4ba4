"""The functions that the settings of the tests name."""

from typing import Any


def claims(user: Any) -> dict[str, Any]:
    return {"staff": user.is_staff, "groups": sorted(user.groups.values_list("name", flat=True))}


def no_claims(user: Any) -> Any:
    return [user.pk]


def failing(user: Any) -> Any:
    raise AttributeError("a fault of the site")


def unwritable(user: Any) -> Any:
    return {"user": user}


def is_staff(user: Any) -> bool:
    return bool(user.is_staff)


def find(subject: str) -> Any:
    raise AssertionError(subject)
