"""Conditions as numbers, so that SQL can sum them up."""

from typing import Any

import sqlalchemy as sa


def one_if(condition: sa.ColumnElement[bool]) -> sa.Case[Any]:
    """1 for a row of which it is true, else 0."""
    return sa.case((condition, 1), else_=0)


def count_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    """How many rows it is true of; 0 where there are none."""
    return sa.func.coalesce(sa.func.sum(one_if(condition)), 0)
