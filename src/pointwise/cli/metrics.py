"""pointwise metrics."""

import click

from pointwise.cli.tables import console, metrics_markdown, metrics_table


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
def metrics(*, markdown: bool) -> None:
    """List the metrics: name, direction, unit, meaning, source."""
    if markdown:
        click.echo(metrics_markdown())
    else:
        console().print(metrics_table())
