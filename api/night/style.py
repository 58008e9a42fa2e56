"""How the morning report looks, by day and by night. No font, script or picture is fetched from anywhere."""

STYLE = """
:root {
  color-scheme: light dark; font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  --paper: #fbfbfa; --card: #fff; --ink: #1d2126; --quiet: #646c76; --rule: #e1e3e6;
  --ok: #4f9e83; --retried: #3f78c2; --flagged: #e0a526; --skipped: #d9572b; --failed: #a61f38; --missing: #d5d8dc;
  --first: #3f78c2; --second: #d9802b; --shade: #64748b2e;
}
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171a; --card: #1c2024; --ink: #e4e7ea; --quiet: #98a1ab; --rule: #33393f;
  --ok: #4fae8d; --retried: #6ca0e4; --flagged: #e8b84a; --skipped: #ec7750; --failed: #f0607c; --missing: #3c434a;
  --first: #6ca0e4; --second: #eba15a; --shade: #94a3b830;
} }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink); }
h1 { font-size: 1.7rem; margin: 0; line-height: 1.2; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; max-width: 48rem; } .quiet, figcaption, th { color: var(--quiet); }
header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
.badge { color: #fff; border-radius: 1rem; padding: .1rem .8rem; font-weight: 600; background: var(--quiet); }
.badge.completed { background: #35785f; } .badge.failed, .badge.cut { background: #a61f38; }
.badge.stopped { background: #8a6410; } .badge.running { background: #2f63a8; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .7rem; margin: 1.3rem 0; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: .5rem; padding: .6rem .9rem; }
.card b { display: block; font-size: 1.3rem; font-weight: 600; } .card span { color: var(--quiet); font-size: .87rem; }
.concerns { border-left: 4px solid var(--flagged); background: var(--card); padding: .6rem 1rem .7rem; }
.concerns.none { border-color: var(--ok); } .concerns ul { margin: .2rem 0; padding-left: 1.1rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.2rem; align-items: start; }
figure { margin: 0; } img, svg { display: block; width: 100%; height: auto; } img { border-radius: .3rem; }
.map { max-height: 40rem; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: .22rem 1rem .22rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 500; white-space: nowrap; } td:not(:last-child) { white-space: nowrap; }
td { overflow-wrap: anywhere; } .scroll { overflow-x: auto; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .35rem .9rem; align-items: center; }
.bars i { display: block; height: .95rem; background: var(--first); border-radius: .15rem; min-width: 2px; }
.legend { display: inline-block; margin-right: 1rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin-right: .35rem; }
details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; padding: .2rem 0; }
.chart { margin: .5rem 0; background: var(--card); border: 1px solid var(--rule); border-radius: .5rem; }
.chart text { fill: var(--ink); font-size: 13px; } .chart .title { font-weight: 600; }
.chart .small { fill: var(--quiet); font-size: 11.5px; } .grid { stroke: var(--rule); fill: none; }
.shade { fill: var(--shade); } .level { stroke: var(--quiet); stroke-dasharray: 5 4; fill: none; }
polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; } .key { stroke-width: 4; }
rect.ok, circle.ok { fill: var(--ok); } rect.retried { fill: var(--retried); } rect.flagged { fill: var(--flagged); }
rect.skipped { fill: var(--skipped); } rect.failed, circle.failed { fill: var(--failed); }
rect.missing { fill: var(--missing); } circle.first { fill: var(--first); } circle.second { fill: var(--second); }
polyline.first, path.first { stroke: var(--first); } polyline.second, path.second { stroke: var(--second); }
path.ok { stroke: var(--ok); } path.failed { stroke: var(--failed); }
i.ok { background: var(--ok); } i.retried { background: var(--retried); } i.flagged { background: var(--flagged); }
i.skipped { background: var(--skipped); } i.failed { background: var(--failed); }
i.missing { background: var(--missing); }
.edges rect { fill: #8882; stroke: #8886; } .edges rect.stage { fill: #e90a5540; stroke: #e90; stroke-dasharray: 5 3; }
.edges svg { max-height: 44rem; } .edges line { stroke-width: 3; }
.edges line.refused { stroke-dasharray: 3 5; opacity: .6; }
@media print { body { max-width: none; } details > * { display: block; } }
"""
