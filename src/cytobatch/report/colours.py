"""The colours of maps: viridis, whose order people of every colour vision see, and which prints in grey.

https://bids.github.io/colormap/
"""

_VIRIDIS = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")


def colour_scale(levels: int) -> list[str]:
    """Return this many colours, from dark to light, as `#rrggbb`."""
    stops = [tuple(int(stop[place : place + 2], 16) for place in (0, 2, 4)) for stop in _VIRIDIS]
    colours = []
    for level in range(levels):
        position = level * (len(stops) - 1) / max(1, levels - 1)
        below = min(len(stops) - 2, int(position))
        part = position - below
        mixed = (round(a + (b - a) * part) for a, b in zip(stops[below], stops[below + 1], strict=True))
        colours.append("#" + "".join(f"{value:02x}" for value in mixed))
    return colours
