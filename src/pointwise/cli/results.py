"""Where the results of a command go: a table on the screen, and JSON in a file or in its place."""

from collections.abc import Callable
from typing import Any

import click

from pointwise._files import atomic_write, require_writable


def _writable(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    if path is not None and path != "-":  # before long work for it
        require_writable(path)
    return path


json_option = click.option(
    "--json", "json_path", callback=_writable, help="Write all results here; - for stdout instead of the table."
)


def show(path: str | None, json: Callable[[], str], table: Callable[[], Any], what: str = "Everything") -> None:
    """Write the JSON to the file, if one is named, and show the table; or, for -, put it on stdout in its place."""
    if path == "-":
        click.echo(json())
        return
    if path:  # before the table, whose reader may go away
        with atomic_write(path) as file:
            file.write(json().encode())
    table()
    if path:
        click.echo(f"{what} is in {path}.")
