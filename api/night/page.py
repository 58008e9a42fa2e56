"""The page of the morning report: what matters first, everything else below."""

import base64
from html import escape

from api.night.concerns import concerns
from api.night.night import Night
from api.night.plots import plots
from api.night.quality_map import quality_map
from api.night.sections import events, exceptions, lost, overlaps, section, settings
from api.night.style import STYLE
from api.night.words import duration, moment, zone


def page(night: Night, picture: bytes | None, edges: str) -> str:
    """The whole page; `picture` is a PNG of the mosaic, `edges` the map of the overlaps."""
    title = f"{night.name}: {night.outcome}"
    body = [_head(night), _concerns(night), _cards(night), _pictures(night, picture), lost(night)]
    if charts := plots(night):
        body.append(section("Through the night", f"<p class='quiet'>Shaded: paused or down.</p>{charts}"))
    body += [exceptions(night), events(night), overlaps(night, edges), settings(night)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _head(night: Night) -> str:
    badge = f'<span class="badge {night.outcome.split()[0]}">{night.outcome}</span>'
    return f"<header><h1>{escape(night.name)}</h1>{badge}</header><p class='quiet'>{escape(_when(night))}</p>"


def _when(night: Night) -> str:
    if not night.timeline.sessions:
        return "Nothing was taken yet."
    start_s, end_s = night.timeline.sessions[0].start_s, night.timeline.sessions[-1].end_s
    said = f"{moment(start_s)} to {moment(end_s)} ({zone(start_s)}), on {night.run['rig'].get('name')}."
    if night.live and night.progress.waits_for is not None:
        said += f" Paused, waits for {night.progress.waits_for}."
    elif night.live and night.progress.ends_at is not None:
        said += f" Expected to end {moment(night.progress.ends_at.timestamp())}."
    return said


def _concerns(night: Night) -> str:
    found = concerns(night)
    if not found:
        return '<div class="concerns none">Nothing needs your attention.</div>'
    return f'<div class="concerns">Worth a look<ul>{"".join(f"<li>{escape(each)}</li>" for each in found)}</ul></div>'


def _cards(night: Night) -> str:
    tiles, time, stitch = night.summary["tiles"], night.summary["time"], night.summary.get("stitch")
    lost_s = sum(night.summary["lost_time_s"].values())
    cards = [(f"{tiles['ok']} of {tiles['planned']}", "tiles taken")]
    cards.append((duration(night.timeline.working_s), "at work"))
    cards.append((duration(lost_s) if lost_s else "none", "lost time"))
    cards.append((str(tiles["retried"]), "tiles tried more than once"))
    if time["overhead_ms_p50"] is not None:
        cards.append((duration(time["overhead_ms_p50"] / 1000), "a tile, beside moving and exposing"))
    if stitch and stitch["edges"]:
        cards.append((f"{stitch['accepted']} of {stitch['edges']}", "overlaps matched"))
        cards.append((f"{stitch['residual_px_rms']:.2g} px", "rms left between neighbours"))
    if truth := night.summary.get("truth"):
        cards.append((f"{truth['position_error_px_rms']:.2g} px", "rms position error against the truth"))
    shown = "".join(f'<div class="card"><b>{escape(value)}</b><span>{name}</span></div>' for value, name in cards)
    return f'<div class="cards">{shown}</div>'


def _pictures(night: Night, picture: bytes | None) -> str:
    mosaic = "<p class='quiet'>There is no mosaic yet.</p>"
    if picture is not None:
        source = "data:image/png;base64," + base64.b64encode(picture).decode()
        mosaic = f'<figure><img alt="the mosaic" src="{source}"></figure>'
    quality = section("What became of each tile", quality_map(night.fates))
    return f'<div class="pair">{section("Mosaic", mosaic)}{quality}</div>'
