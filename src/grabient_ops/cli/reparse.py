"""`grabient-ops reparse`."""


def reparse() -> None:
    """Run reparse."""
