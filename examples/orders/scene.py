"""A scene: a title, a sentence, the code it is about, and a function that plays it."""

from collections.abc import Callable

from attrs import frozen

from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally


@frozen
class Scene:
    title: str
    sentence: str
    code: tuple[Callable[..., object] | type, ...]
    play: Callable[[Shop, Screen], Tally]
    """Returns what it promised, for comparison with what the servers received."""

    def perform(self, shop: Shop, screen: Screen) -> tuple[Tally, Tally]:
        """Play it. What was promised, and what was received."""
        shop.forget()
        screen.heading(self.title, self.sentence)
        screen.code(*self.code)
        promised = self.play(shop, screen)
        return promised, shop.received()
