"""The command line: results on stdout, progress and warnings on stderr, one plain sentence for what cannot be done."""

import io
import sys

import click

from pointwise.cli import agreement, compare, demo, encode, metrics, retrieve, train
from pointwise.errors import InputError, MissingExtra


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pointwise")
def commands() -> None:
    """Measure generative models in nats, down to the single sample."""


for command in (
    agreement.agreement,
    compare.compare,
    demo.demo,
    encode.encode,
    metrics.metrics,
    retrieve.retrieve,
    train.train_command,
):
    commands.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 bad input or usage, 1 anything else."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without arrows shows "?" for them, and all numbers
        sys.stdout.reconfigure(errors="replace")
    try:
        code = commands.main(args=arguments, prog_name="pointwise", standalone_mode=False)
    except (InputError, MissingExtra) as error:
        _say(str(error))
        sys.exit(2)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "pointwise"
        message = error.format_message()
        _say(f"{message}{'' if message.endswith(('.', '?')) else '.'} See '{where} --help'.")
        sys.exit(2)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _say("stopped.")
        sys.exit(130)
    except BrokenPipeError:  # the reader of stdout went away, as `| head` does
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _say(sentence: str) -> None:
    """One line on stderr, also where a path or another library's words bring line breaks along."""
    click.echo(f"pointwise: {' '.join(sentence.split())}", err=True)
