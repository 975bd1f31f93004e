"""A paginator for tables that grow for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

MOST_ROWS = 10_000


class CappedPaginator(_Paginator):
    """Counts and shows the newest 10,000 rows at most: older ones are found by filter or search."""

    @cached_property
    def count(self) -> int:
        """Rows that can be paged through; the database stops counting at the cap."""
        rows = self.object_list[:MOST_ROWS]
        return rows.count() if isinstance(rows, QuerySet) else len(rows)
