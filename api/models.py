"""The models at hand, as the command line and REST tell of them."""

from typing import Annotated, Any, TypeGuard

import typer

from api.show import result
from reconstruction.model_card import Card
from reconstruction.restore import Known, at_hand


def model_facts() -> list[dict[str, Any]]:
    """All that is known of each."""
    return [{**vars(known), "card": known.card and known.card.model_dump()} for known in at_hand()]


def list_models(as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False) -> None:
    """Tell what can restore frames: classical methods, the models in the box and those in $NANORASTER_MODELS."""
    result(as_json, {"models": model_facts()}, [line for known in at_hand() for line in _lines(known)])


def _lines(known: Known) -> list[str]:
    if (card := known.card) is None:
        return [f"{known.name:<16} {'needs no training' if known.sha256 else 'leaves frames as they are'}"]
    larger = f", {known.scale} pixels of one along each axis" if known.scale > 1 else ""
    sizes = f"{card.pixel_size_nm[0]:g} to {card.pixel_size_nm[1]:g} nm a pixel; " if card.pixel_size_nm else ""
    metrics = ", ".join(_measured(card))
    first = f"{known.name:<16} {card.network}{larger}: {card.data}"
    return [first, f"{'':<16} {sizes}{metrics or 'not measured'}; {card.licence}; {card.sha256[:12]}"]


def _measured(card: Card) -> list[str]:
    """What a card tells of a model's quality: numbers, and its rows of held-out data; of what is absent nothing."""
    said = [f"{name} {value:g}" for name, value in card.metrics.items() if _is_number(value)]
    held_out = card.metrics.get("held_out")
    for row in held_out if isinstance(held_out, list) else ():
        if isinstance(row, dict) and row.get("denoiser") == card.name and _is_number(row.get("psnr_db")):
            gain = f" ({row['gain_db']:+.1f})" if _is_number(row.get("gain_db")) else ""
            said.append(f"{row.get('data', 'held out')} {row['psnr_db']:.1f} dB{gain}")
    return said


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
