"""``airlock completion``: for shells."""

from __future__ import annotations

import click

from airlock.cli.output import json_option, print_json

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str, as_json: bool) -> None:  # noqa: FBT001 - an option
    """Print what makes a shell complete the commands and options of airlock.

    \b
    bash:  eval "$(airlock completion bash)"      in ~/.bashrc
    zsh:   eval "$(airlock completion zsh)"       in ~/.zshrc
    fish:  airlock completion fish | source       in ~/.config/fish/config.fish
    """  # noqa: D301 - for click, which keeps the lines below it
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    script = get_completion_class(shell)
    if script is not None:
        root = context.find_root().command
        source = script(root, {}, "airlock", "_AIRLOCK_COMPLETE").source()
        if as_json:
            print_json({"shell": shell, "script": source})
        else:
            click.echo(source)
