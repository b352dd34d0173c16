"""What is in a new shop: 300 items, 50 customers, and 20 orders of each."""

from __future__ import annotations

import itertools
import random

from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from .models import Customer, Item, Order, OrderLine, Stock

PASSWORD = "secret"
CUSTOMERS = 50
ORDERS = 20  # of each customer
PARCELS = 10_000_000
CATEGORIES = {
    "tea": ("Assam", "Ceylon", "Darjeeling", "Earl Grey", "Gunpowder", "Matcha", "Oolong"),
    "coffee": ("Bourbon", "Harrar", "Java", "Kona", "Maragogype", "Sidamo", "Yirgacheffe"),
    "spices": ("Allspice", "Cardamom", "Cumin", "Mace", "Nutmeg", "Saffron", "Turmeric"),
}
KINDS = ("", "Organic ", "Wild ", "Highland ", "Reserve ")
SIZES = ("100 g", "250 g", "500 g")


def fill(session: Session, password_hash_method: str) -> None:
    """Fill an empty shop, always with the same."""
    if session.scalar(select(Item.id).limit(1)) is not None:
        return
    chance = random.Random(1)
    items = [
        Item(name=f"{kind}{name}, {size}", category=category, list_price=chance.randint(200, 5000))
        for category, names in CATEGORIES.items()
        for kind, name, size in itertools.product(KINDS, names, SIZES)
    ]
    password_hash = generate_password_hash(PASSWORD, password_hash_method)
    customers = [
        Customer(email=f"customer{number}@example.com", password_hash=password_hash)
        for number in range(1, CUSTOMERS + 1)
    ]
    session.add_all([*items, *customers, Stock(id=1, parcels=PARCELS)])
    session.flush()
    session.add_all(
        Order(customer_id=customer.id, lines=_lines(items, chance))
        for customer in customers
        for _ in range(ORDERS)
    )


def _lines(items: list[Item], chance: random.Random) -> list[OrderLine]:
    return [
        OrderLine(item_id=item.id, quantity=chance.randint(1, 3), price=item.list_price)
        for item in chance.sample(items, 3)
    ]
