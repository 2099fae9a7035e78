"""`grabient-ops worker`."""

from grabient_ops.cli.common import open_app, warn


def worker() -> None:
    """Work until stopped: submit, wait, collect. One worker per home; on PostgreSQL, any number."""
    from grabient_ops.cli.session import work_until_stopped

    app = open_app()
    warn(f"working on {app.settings.home}; Ctrl-C stops, nothing is lost")
    work_until_stopped(app)
