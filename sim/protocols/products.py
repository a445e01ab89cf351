"""Systems with the settings of a product: ``Raft.like("etcd")``, ``Dynamo.like("cassandra-quorum")``.

The table of a family is a module ``products`` beside its protocol. Each value has the page on which the product's
documentation (or, where that is silent, its source) states it, and each product says what the model leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from sim.system import System
from sim.written.names import did_you_mean

__all__ = ["FromPage", "Product", "all_products", "products_of", "system_like"]

S = TypeVar("S", bound=System)


@dataclass(frozen=True, slots=True)
class FromPage:
    """The value of a field, and where the product states it.

    Attributes
    ----------
    value: the value in the unit of the field (seconds).
    says: the product's own setting with its value in the product's units.
    page: the address of the page.
    """

    value: Any
    says: str
    page: str


@dataclass(frozen=True, slots=True)
class Product:
    """The settings of a product.

    Attributes
    ----------
    name: the argument of `System.like`.
    title: the product and its version or mode.
    fields: field of the system -> its value. Other fields keep their defaults.
    left_out: what the model leaves out or does otherwise than the product; one sentence each.
    """

    name: str
    title: str
    fields: Mapping[str, FromPage]
    left_out: tuple[str, ...]


def products_of(system: type[System]) -> dict[str, Product]:
    """The products whose settings a class of systems knows: name -> product, sorted by name."""
    if not system.product_table:
        return {}
    table: tuple[Product, ...] = import_module(system.product_table).PRODUCTS
    return {product.name: product for product in sorted(table, key=lambda product: product.name)}


def all_products() -> list[tuple[type[System], Product]]:
    """Each product with the class of the library that has its settings, sorted by class and name."""
    library = import_module("sim.protocols")
    exported = [getattr(library, name) for name in sorted(library.__all__)]
    systems = [cls for cls in exported if isinstance(cls, type) and issubclass(cls, System)]
    return [(system, product) for system in systems for product in products_of(system).values()]


def system_like(system: type[S], product: str, given: Mapping[str, Any]) -> S:
    """The system of a class with the settings of a product; ``given`` fields replace them. See `System.like`."""
    known = products_of(system)
    if not known:
        raise ValueError(f"{system.__name__} has the settings of no product, also not of {product!r}")
    if not isinstance(product, str) or product not in known:
        hint = did_you_mean(product, known) if isinstance(product, str) else ""
        raise ValueError(f"{system.__name__} knows no product {product!r}{hint}; it knows {', '.join(known)}")
    stated = {name: found.value for name, found in known[product].fields.items()}
    return system(**{**stated, **given})
