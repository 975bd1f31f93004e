"""A small exchange for the bracket's machine: every history of three legs, message by message.

The exchange may accept, refuse, fill by one unit, cancel and change; every
one of its messages may be lost, told again later, told only later, or replace a lost reply. After
each message the machine looks at what the desk knows, which may be less than what is.

Where the broker keeps target and stop, these come to life with the entry's first fill, told or not.
The broker lets them grow with it and cancels what an exit leaves over, whenever it likes: or never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from apps.orders.bracket_machine import At, Do, Part, Patience, Sight, Step, Works, decide, is_odd

PATIENCE = Patience(broker=1, protect_within=1, leave_after=2, tries=2, loud_after=99)
LEGS = (Part.ENTRY, Part.TARGET, Part.STOP_LOSS)
EXITS = (Part.STOP_LOSS, Part.TARGET)


@dataclass(frozen=True)
class Said:
    """What one message tells of an order."""

    number: int
    at: At
    quantity: int
    filled: int


@dataclass(frozen=True)
class Order:
    """What is, and what the desk knows of it."""

    part: Part
    quantity: int
    filled: int = 0
    at: At = At.MOVING
    cancel: bool = False  # asked for
    change: int = 0  # units asked for
    kept: bool = False  # by the broker
    known: Said = field(default=Said(0, At.MOVING, 0, 0))

    @property
    def alive(self) -> bool:
        return self.at is not At.OVER

    @property
    def left(self) -> int:
        return self.quantity - self.filled if self.alive else 0


@dataclass(frozen=True)
class World:
    orders: tuple[Order, ...]
    late: tuple[Said, ...] = ()
    leaving: bool = False
    finished: bool = False
    exposed: int = 0  # looks in a row at which the desk knew of it
    bare: int = 0  # looks in a row at which it was so
    odd: int = 0  # looks in a row at which the broker had something to do
    stays: bool = False  # the broker cancels nothing by itself any more
    faults: int = 1  # of messages, that may still happen
    mishaps: int = 1  # refusals and cancels that nobody asked for

    def total(self, part: Part) -> int:
        return sum(order.filled for order in self.orders if order.part is part)

    @property
    def held(self) -> int:
        out = sum(self.total(part) for part in (Part.TARGET, Part.STOP_LOSS, Part.OUT))
        return self.total(Part.ENTRY) - out + self.total(Part.BACK)

    @property
    def protected(self) -> bool:
        stops = [o for o in self.orders if o.part is Part.STOP_LOSS and o.at is At.WORKING]
        return self.held <= sum(order.left for order in stops)


def begin(units: int, faults: int, mishaps: int, *, kept: bool = False) -> World:
    entry = Order(Part.ENTRY, units, kept=kept, known=Said(0, At.MOVING, units, 0))
    return World((entry,), faults=faults, mishaps=mishaps)


def sight(world: World) -> Sight:
    """What the desk sees."""
    known = {part: works(world, part) for part in Part}
    seen = Sight(
        entry=known[Part.ENTRY],
        target=known[Part.TARGET],
        stop=known[Part.STOP_LOSS],
        out=known[Part.OUT],
        back=known[Part.BACK],
        leaving=world.leaving,
        kept=all(order.kept for order in world.orders if order.part in LEGS),
        odd_for=world.odd,
    )
    return replace(seen, exposed_for=world.exposed)


def works(world: World, part: Part) -> Works:
    orders = [o for o in world.orders if o.part is part and o.known.at is not At.NONE]
    if not orders:
        return Works()
    newest = orders[-1]
    failed = 0
    for order in reversed(orders):
        if order.known.at is not At.OVER or order.known.filled or order.cancel:
            break
        failed += 1
    return Works(
        at=newest.known.at,
        quantity=newest.known.quantity,
        filled=newest.known.filled,
        total=sum(order.known.filled for order in orders),
        failed=failed,
        cancelling=newest.cancel,
        changing=bool(newest.change),
        stuck=newest.kept and part in EXITS,
        strays=sum(
            o.known.quantity - o.known.filled for o in orders[:-1] if o.known.at is not At.OVER
        ),
    )


def put(world: World, number: int, order: Order) -> World:
    orders = (*world.orders[:number], order, *world.orders[number + 1 :])
    return replace(world, orders=orders)


def hear(world: World, said: Said) -> World:
    """What is known only grows, as in the order's own life."""
    order = world.orders[said.number]
    known = order.known
    if known.at is At.OVER:
        at = At.OVER
    elif said.at is At.MOVING and known.at is At.WORKING:
        at = At.WORKING
    else:
        at = said.at
    filled = max(known.filled, said.filled)
    newer = said.filled >= known.filled and known.at is not At.OVER
    quantity = said.quantity if newer else known.quantity
    world = put(world, said.number, replace(order, known=Said(said.number, at, quantity, filled)))
    return born(world, filled) if order.part is Part.ENTRY and order.kept and filled else world


def born(world: World, units: int) -> World:
    """The desk has heard of a fill: it counts the legs that the broker keeps for it."""
    for number, order in enumerate(world.orders):
        if order.kept and order.known.at is At.NONE:
            known = Said(number, At.MOVING, units, 0)
            world = put(world, number, replace(order, known=known))
    return world


def guard(world: World) -> World:
    """The machine looks until it has nothing new to do."""
    if world.odd and not is_odd(sight(world), PATIENCE):
        world = replace(world, odd=0)
    steps = decide(sight(world), PATIENCE)
    for step in steps:
        world = act(world, step)
    check_steps(world, steps)
    return world


def act(world: World, step: Step) -> World:
    if step.do is Do.LEAVE:
        return replace(world, leaving=True)
    if step.do is Do.FINISH:
        return replace(world, finished=True)
    if step.do is Do.PLACE:
        number = len(world.orders)
        known = Said(number, At.MOVING, step.quantity, 0)
        order = Order(step.part, step.quantity, known=known)
        return replace(world, orders=(*world.orders, order), finished=False)
    for number, order in enumerate(world.orders):
        if order.part is not step.part or (not order.alive and order.known.at is At.OVER):
            continue
        if step.do is Do.CANCEL:
            world = put(world, number, replace(order, cancel=True))
        elif step.do is Do.CHANGE:
            asked = order.known.filled + step.quantity
            world = put(world, number, replace(order, change=asked))
    return world


def check_steps(world: World, steps: list[Step]) -> None:
    alive = [order.part for order in world.orders if order.alive]
    assert len(alive) == len(set(alive)), f"two orders of one part may fill: {world}"
    for step in steps:
        if step.do is Do.PLACE and step.part in {Part.OUT, Part.BACK}:
            others = [p for p in alive if p in {Part.TARGET, Part.STOP_LOSS}]
            assert not others, f"left at the market beside {others}: {world}"


def happenings(world: World) -> Iterator[tuple[World, int]]:
    """Everything that the exchange may do next, with the order that it tells of."""
    for number, order in enumerate(world.orders):
        if order.at is At.MOVING:
            yield put(world, number, replace(order, at=At.WORKING)), number
            if world.mishaps and order.part in LEGS:
                refused = put(world, number, replace(order, at=At.OVER))
                yield replace(refused, mishaps=world.mishaps - 1), number
        elif order.at is At.WORKING:
            yield filled_by_one(world, number), number
            if order.cancel:
                yield cancelled(world, number), number
            elif world.mishaps and order.part in LEGS:
                ended = put(world, number, replace(order, at=At.OVER))
                yield replace(ended, mishaps=world.mishaps - 1), number
            if order.change:
                yield changed(world, number), number
    yield from by_the_broker(world)


def by_the_broker(world: World) -> Iterator[tuple[World, int]]:
    """What a broker that keeps the legs may do next by itself; once, it may stop doing it."""
    due = brokers_work(world)
    for number, order in due:
        yield put(world, number, order), number
    if due and world.mishaps and not world.stays:
        yield replace(world, stays=True, mishaps=world.mishaps - 1), due[0][0]


def brokers_work(world: World) -> list[tuple[int, Order]]:
    """Legs grow with their entry; what an exit leaves over, or an entry that failed, is ended."""
    exits = [order for order in world.orders if order.kept and order.part in EXITS]
    if world.stays or not exits:
        return []
    entry = world.orders[0]
    fired = any(order.filled for order in exits)
    found = []
    for number, order in enumerate(world.orders):
        if not order.kept or not order.alive or (order.filled and order.part in EXITS):
            continue
        if fired:
            found.append((number, replace(order, at=At.OVER)))
        elif order.part in EXITS and order.quantity < entry.filled:
            found.append((number, replace(order, quantity=entry.filled)))
    return found


def cancelled(world: World, number: int) -> World:
    """A cancelled entry takes along what the broker keeps for it, filled or not."""
    order = world.orders[number]
    world = put(world, number, replace(order, at=At.OVER))
    if order.part is Part.ENTRY:
        for place, other in enumerate(world.orders):
            if other.kept and other.alive:
                world = put(world, place, replace(other, at=At.OVER))
    return world


def filled_by_one(world: World, number: int) -> World:
    order = world.orders[number]
    filled = order.filled + 1
    at = At.OVER if filled == order.quantity else At.WORKING
    world = put(world, number, replace(order, filled=filled, at=at))
    if order.part is not Part.ENTRY or not order.kept or len(world.orders) > 1:
        return world
    legs = [
        Order(part, filled, at=At.WORKING, kept=True, known=Said(place, At.NONE, 0, 0))
        for place, part in enumerate(EXITS, start=1)
    ]
    return replace(world, orders=(*world.orders, *legs))


def changed(world: World, number: int) -> World:
    order = world.orders[number]
    at = At.OVER if order.change <= order.filled else At.WORKING
    quantity = max(order.change, order.filled)
    return put(world, number, replace(order, quantity=quantity, at=at, change=0))


def tellings(world: World, number: int) -> Iterator[World]:
    """The message of what happened: told, or with one of the faults."""
    order = world.orders[number]
    said = Said(number, order.at, order.quantity, order.filled)
    yield guard(hear(world, said))
    if world.faults:
        less = replace(world, faults=world.faults - 1)
        yield less  # lost
        yield guard(replace(hear(less, said), late=(*less.late, said)))  # and once more, later
        yield replace(less, late=(*less.late, said))  # later than what comes after it
        if order.known.at is At.MOVING:
            doubt = replace(order.known, at=At.UNKNOWN)
            yield guard(put(less, number, replace(order, known=doubt)))


def cycle(world: World) -> World:
    """The books are read: what is known is what is. One look later."""
    for number, order in enumerate(world.orders):
        world = hear(world, Said(number, order.at, order.quantity, order.filled))
        world = put(world, number, replace(world.orders[number], change=0))
    seen = sight(world)
    odd = min(world.odd + 1, 2) if is_odd(seen, PATIENCE) else 0
    world = replace(world, odd=odd)
    bare = 0 if world.protected or world.leaving else world.bare + 1
    world = replace(world, exposed=min(world.exposed + 1, 3) if seen.exposed else 0, bare=bare)
    return guard(world)


def next_worlds(world: World) -> Iterator[World]:
    for happened, number in happenings(world):
        yield from tellings(happened, number)
    for index, said in enumerate(world.late):
        rest = world.late[:index] + world.late[index + 1 :]
        yield guard(hear(replace(world, late=rest), said))
    waits = not world.protected and not world.leaving
    if behind(world) or waits or is_odd(sight(world), PATIENCE):
        yield cycle(world)


def behind(world: World) -> bool:
    return any(
        (order.known.at, order.known.filled) != (order.at, order.filled) for order in world.orders
    )


def at_rest(world: World) -> World:
    """The exchange does what it is asked and fills nothing but what is sent at the market."""
    for _ in range(30):
        before = world
        for number, order in brokers_work(world):
            world = put(world, number, order)
        for number in range(len(world.orders)):
            world = obey(world, number, world.orders[number])
        world = cycle(world)
        if world == before:
            return world
    raise AssertionError(f"it never comes to rest: {world}")


def obey(world: World, number: int, order: Order) -> World:
    if order.at is At.MOVING:
        return put(world, number, replace(order, at=At.WORKING))
    if order.at is At.WORKING and order.cancel:
        return cancelled(world, number)
    if order.at is At.WORKING and order.change:
        return changed(world, number)
    if order.at is At.WORKING and order.part in {Part.OUT, Part.BACK}:
        return filled_by_one(world, number)
    return world
