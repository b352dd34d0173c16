"""The tables."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What all tables have in common."""


class Item(Base):
    """Something to buy."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    category: Mapped[str] = mapped_column(index=True)
    list_price: Mapped[int]  # cents

    def to_dict(self) -> dict[str, object]:
        """Return the item as JSON shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "category": self.category,
            "list_price": self.list_price,
        }


class Stock(Base):
    """A warehouse: how many parcels it can still send."""

    __tablename__ = "stock"

    id: Mapped[int] = mapped_column(primary_key=True)
    parcels: Mapped[int]


class Customer(Base):
    """Somebody with an account."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]


class Order(Base):
    """What a customer bought at once."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    lines: Mapped[list[OrderLine]] = relationship(order_by="OrderLine.id")

    def to_dict(self) -> dict[str, object]:
        """Return the order with its lines, as JSON shows it."""
        return {
            "id": self.id,
            "created": self.created.isoformat(),
            "lines": [line.to_dict() for line in self.lines],
            "total": sum(line.price * line.quantity for line in self.lines),
        }


class OrderLine(Base):
    """One of the items of an order, at the price of that day."""

    __tablename__ = "order_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    price: Mapped[int]  # cents
    item: Mapped[Item] = relationship()

    def to_dict(self) -> dict[str, object]:
        """Return the line as JSON shows it."""
        return {"item": self.item.name, "quantity": self.quantity, "price": self.price}
