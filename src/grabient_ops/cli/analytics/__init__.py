"""`grabient-ops analytics`: one command per question over all answers."""

import typer

from grabient_ops.cli.analytics import convergence, models, tags, warehouse

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Ask anything about all answers; the warehouse is brought up to date first.",
)
app.command()(warehouse.sync)
app.command()(tags.consensus)
app.command("top-tags")(tags.top_tags)
app.command()(tags.versions)
app.command()(convergence.convergence)
app.command()(models.agreement)
app.command()(models.reliability)
app.command()(models.accuracy)
app.command()(models.usage)
app.command()(models.errors)
app.command()(warehouse.sql)
app.command()(warehouse.export)
