"""What the tests store."""

from __future__ import annotations

from django.db import models


class Row(models.Model):
    """A marker: it is in the table if the transaction that wrote it was committed."""

    text: models.CharField[str, str] = models.CharField(max_length=100, unique=True)
    objects: models.Manager[Row]  # for type checkers

    class Meta:
        app_label = "shop"

    def __str__(self) -> str:
        return self.text


class Line(models.Model):
    """Of a row, which is looked for at the commit."""

    row: models.ForeignKey[Row, Row] = models.ForeignKey(Row, on_delete=models.CASCADE)
    objects: models.Manager[Line]  # for type checkers

    class Meta:
        app_label = "shop"

    def __str__(self) -> str:
        return f"line of {self.row}"


class Order(models.Model):
    """Of the pages of the documentation."""

    objects: models.Manager[Order]  # for type checkers

    class Meta:
        app_label = "shop"

    def __str__(self) -> str:
        return f"order {self.pk}"
