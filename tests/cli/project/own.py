"""A script that declares its intents itself."""

from airlock import Boundary, emit, intent


@intent
class Ping:
    number: int


with Boundary({Ping: print}).scope():
    emit(Ping(1))
