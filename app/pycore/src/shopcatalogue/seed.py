"""The seeded catalogue: 10,000 products, the same on every machine.

Everything follows from word lists and one random seed. Raise VERSION with any change: databases
seeded with another version are brought up to date, keeping the stock of products they have.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shopcore.schema import Seed
from shopcore.schemas import CURRENCY

VERSION = 1
COUNT = 10_000
_SEED = 20_260_101
# The first products are the shop's staples: deep stock, so that a load test on the first page
# of the catalogue measures the shop and not its shelf.
_STAPLES = 100
_COLUMNS = ("id", "sku", "name", "description", "category", "price_minor", "currency", "stock")

Row = tuple[int, str, str, str, str, int, str, int]


@dataclass(frozen=True, slots=True)
class _Category:
    name: str
    code: str
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    uses: tuple[str, ...]
    price_minor: tuple[int, int]


_CATEGORIES = (
    _Category(
        "Kitchen",
        "KIT",
        (
            "Frying Pan", "Saucepan", "Chef's Knife", "Cutting Board", "Mixing Bowl", "Kettle",
            "Coffee Grinder", "Teapot", "Baking Tray", "Storage Jar", "Pepper Mill", "Colander",
        ),
        ("Cast Iron", "Stainless Steel", "Bamboo", "Enamel", "Copper", "Stoneware"),
        ("everyday cooking", "slow Sunday meals", "small kitchens", "baking with children"),
        (990, 14_990),
    ),
    _Category(
        "Home Office",
        "OFF",
        (
            "Desk Lamp", "Monitor Stand", "Office Chair", "Notebook", "Pen Holder", "Desk Mat",
            "Filing Tray", "Bookend", "Wall Clock", "Footrest", "Keyboard Rest", "Whiteboard",
        ),
        ("Oak", "Walnut", "Aluminium", "Felt", "Recycled Plastic", "Cork"),
        ("long working days", "shared desks", "tidy cables and papers", "video calls"),
        (690, 39_900),
    ),
    _Category(
        "Outdoor",
        "OUT",
        (
            "Tent", "Sleeping Bag", "Backpack", "Camping Stove", "Head Torch", "Water Bottle",
            "Hiking Pole", "Rain Jacket", "Hammock", "Cool Box", "Compass", "Picnic Blanket",
        ),
        ("Ripstop", "Canvas", "Merino", "Titanium", "Down", "Softshell"),
        ("weekend hikes", "winter camps", "cycling tours", "wet summers"),
        (1_290, 59_900),
    ),
    _Category(
        "Sport",
        "SPO",
        (
            "Yoga Mat", "Dumbbell", "Skipping Rope", "Running Belt", "Resistance Band",
            "Football", "Tennis Racket", "Swim Goggles", "Cycling Gloves", "Foam Roller",
            "Gym Bag", "Kettlebell",
        ),
        ("Rubber", "Neoprene", "Carbon", "Cotton", "Natural Latex", "Steel"),
        ("daily training", "beginners", "team practice", "home workouts"),
        (790, 24_900),
    ),
    _Category(
        "Garden",
        "GAR",
        (
            "Watering Can", "Pruning Shears", "Plant Pot", "Garden Fork", "Trowel", "Bird Feeder",
            "Rain Barrel", "Garden Bench", "Lantern", "Hose Reel", "Raised Bed", "Wheelbarrow",
        ),
        ("Terracotta", "Galvanised Steel", "Teak", "Zinc", "Willow", "Larch"),
        ("balconies", "vegetable beds", "shady corners", "rough weather"),
        (890, 44_900),
    ),
    _Category(
        "Audio",
        "AUD",
        (
            "Headphones", "Bookshelf Speaker", "Turntable", "Microphone", "Soundbar", "Radio",
            "Earphones", "Amplifier", "Record Cabinet", "Speaker Stand", "Audio Cable", "Metronome",
        ),
        ("Aluminium", "Walnut", "Ceramic", "Carbon", "Leather", "Graphite"),
        ("late-night listening", "small rooms", "podcasts", "vinyl collections"),
        (1_490, 79_900),
    ),
    _Category(
        "Children",
        "CHI",
        (
            "Building Blocks", "Puzzle", "Balance Bike", "Night Light", "Picture Book", "Kite",
            "Toy Train", "Rocking Horse", "Crayon Set", "Doll's House", "Marble Run", "Lunch Box",
        ),
        ("Beech", "Organic Cotton", "Maple", "Recycled Plastic", "Wool", "Cardboard"),
        ("rainy afternoons", "curious hands", "birthday parties", "the first school year"),
        (590, 19_900),
    ),
    _Category(
        "Textiles",
        "TEX",
        (
            "Throw", "Cushion Cover", "Bath Towel", "Tablecloth", "Duvet Cover", "Apron",
            "Curtain", "Bathrobe", "Tea Towel", "Rug", "Blanket", "Pillowcase",
        ),
        ("Linen", "Organic Cotton", "Wool", "Hemp", "Bamboo", "Alpaca"),
        ("cold evenings", "guest rooms", "sensitive skin", "sunny terraces"),
        (890, 29_900),
    ),
)  # fmt: skip

_MAKERS = (
    "Alder & Finch", "Bryndal", "Cobalt Works", "Dunmore", "Eastholm", "Ferrow", "Greybridge",
    "Harlow", "Isenberg", "Juniper Lane", "Kestrel", "Lindqvist", "Marlow", "Nordvik", "Oakhurst",
    "Pell & Sons", "Quarry Hill", "Rowan", "Silverbeck", "Tamsin", "Ulverston", "Vantor",
    "Westmere", "Yarrow",
)  # fmt: skip
_STYLES = (
    "Classic", "Compact", "Folding", "Heritage", "Large", "Light", "Modern", "Nordic", "Original",
    "Portable", "Premium", "Quiet", "Robust", "Simple", "Slim", "Solid", "Travel", "Traditional",
)  # fmt: skip
_VIRTUES = (
    "easy to clean", "made to be repaired", "pleasant to hold", "quick to set up", "hard to break",
    "light enough to carry", "quiet in use", "simple to store", "tested for years of use",
    "delivered without plastic",
)  # fmt: skip
_COLOURS = (
    "anthracite", "forest green", "ivory", "midnight blue", "mustard", "natural", "rust red",
    "sand", "slate", "white",
)  # fmt: skip


def catalogue() -> Iterator[Row]:
    """Yield the products in the order of their ids; names are unique."""
    random = Random(_SEED)
    names: set[str] = set()
    for product_id in range(1, COUNT + 1):
        category = _CATEGORIES[random.randrange(len(_CATEGORIES))]
        while True:
            material = random.choice(category.materials)
            noun = random.choice(category.nouns)
            name = f"{random.choice(_MAKERS)} {random.choice(_STYLES)} {material} {noun}"
            if name not in names:
                break
        names.add(name)
        virtue, other = random.sample(_VIRTUES, 2)
        description = (
            f"{noun} in {random.choice(_COLOURS)} {material.lower()} for "
            f"{random.choice(category.uses)}: {virtue} and {other}."
        )
        low, high = category.price_minor
        # Squaring leans towards the cheap end, as catalogues do; prices end in 0 or 90 cents.
        price = int(low + (high - low) * random.random() ** 2) // 100 * 100 + 90
        yield (
            product_id,
            f"{category.code}-{product_id:05d}",
            name,
            description,
            category.name,
            price,
            CURRENCY,
            _stock(random, product_id),
        )


def _stock(random: Random, product_id: int) -> int:
    kind = random.random()
    if product_id <= _STAPLES:
        return 1_000_000
    if kind < 0.01:
        return 0
    if kind < 0.04:
        return random.randint(1, 20)
    return random.randint(500, 20_000)


async def seed_catalogue(connection: AsyncConnection) -> int:
    """Write the catalogue unless this version of it is there; return the rows written.

    COPY into a temporary table, then one INSERT: the upsert costs little beside the search
    vectors, and a half-written catalogue is never seen.
    """
    seeded = await connection.execute(text("SELECT version FROM catalogue_seed WHERE id = 1"))
    if seeded.scalar() == VERSION:
        return 0
    await connection.execute(
        text("CREATE TEMPORARY TABLE incoming (LIKE products INCLUDING DEFAULTS) ON COMMIT DROP")
    )
    await connection.execute(text("ALTER TABLE incoming DROP COLUMN search"))
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.copy_records_to_table("incoming", records=catalogue(), columns=_COLUMNS)
    columns = ", ".join(_COLUMNS)
    updates = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "stock")
    await connection.execute(
        text(
            f"INSERT INTO products ({columns}) SELECT {columns} FROM incoming ORDER BY id"
            f" ON CONFLICT (id) DO UPDATE SET {updates}"
        )
    )
    await connection.execute(
        text(
            "INSERT INTO catalogue_seed (id, version) VALUES (1, :version)"
            " ON CONFLICT (id) DO UPDATE SET version = excluded.version, seeded_at = now()"
        ),
        {"version": VERSION},
    )
    await connection.execute(text("ANALYZE products"))
    return COUNT


SEED = Seed(table="catalogue_seed", version=VERSION, write=seed_catalogue)
