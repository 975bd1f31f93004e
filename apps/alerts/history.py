"""An admin page for rows that nobody may add, change or delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

MOST_ROWS = 10_000


class ShortCount(_Paginator):
    """Stops counting at 10,000: older rows are found by filter or search."""

    @cached_property
    def count(self) -> int:
        """Rows that can be paged through."""
        rows: Any = self.object_list
        return int(rows[:MOST_ROWS].count())


class HistoryAdmin(ModelAdmin):  # type: ignore[misc]
    """Read-only, and quick with a million rows."""

    actions: tuple[str, ...] | None = None
    list_per_page = 50
    ordering = ("-pk",)
    show_full_result_count = False
    paginator = ShortCount

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are written by the desk."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        """What happened does not change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        """What happened does not go away."""
        return False
