"""``airlock completion``: for shells."""

from __future__ import annotations

import click

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print what makes a shell complete the commands and options of airlock.

    \b
    bash:  eval "$(airlock completion bash)"      in ~/.bashrc
    zsh:   eval "$(airlock completion zsh)"       in ~/.zshrc
    fish:  airlock completion fish | source       in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    script = get_completion_class(shell)
    if script is not None:
        root = context.find_root().command
        click.echo(script(root, {}, "airlock", "_AIRLOCK_COMPLETE").source())
