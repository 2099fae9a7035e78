"""`grabient-ops doctor`."""


def doctor() -> None:
    """Run doctor."""
