"""The deployment as a picture that needs no script: boxes and arrows from the params alone, in SVG and in words."""

from collections.abc import Collection
from dataclasses import dataclass
from html import escape

from .params import Params

_WIDTH, _BOX, _GAP = 940, 52, 26  # units of the SVG: a box's height, and what is free below it
_A, _B, _C, _D = (4, 132), (192, 208), (472, 212), (748, 184)  # a column's left edge and width
_HERE = "this step"


@dataclass(frozen=True)
class Piece:
    """One box. `thing` is the plan's name of what it stands for, empty where no notebook makes it."""

    thing: str
    what: str
    more: str
    column: tuple[int, int]
    row: float

    @property
    def left(self) -> int:
        return self.column[0]

    @property
    def right(self) -> int:
        return sum(self.column)

    @property
    def top(self) -> int:
        return round(34 + self.row * (_BOX + _GAP))

    @property
    def middle(self) -> int:
        return self.top + _BOX // 2


@dataclass(frozen=True)
class Picture:
    """Pieces and arrows (from, to, label, whether dashed); what is `lit` has an outline and the words "this step"."""

    title: str
    pieces: tuple[Piece, ...]
    arrows: tuple[tuple[str, str, str, bool], ...]
    frames: tuple[tuple[str, str, float, float], ...]  # thing, label, first and last row
    lit: frozenset[str]

    def __repr__(self) -> str:
        lines = [self.title]
        for thing, what, more in sorted(self._told(), key=lambda told: not told[0]):
            lines.append(f"  {what}: {more}{f' ({_HERE})' if thing in self.lit else ''}")
        return "\n".join(lines)

    def _told(self):
        yield from ((thing, *label.split(": ", 1)) for thing, label, _, _ in self.frames)
        yield from ((piece.thing, piece.what, piece.more) for piece in self.pieces)

    def _repr_html_(self) -> str:
        height = max(piece.top for piece in self.pieces) + _BOX + 44
        drawn = "".join(
            (
                *(self._frame(at, *frame) for at, frame in enumerate(self.frames)),
                *(self._arrow(*arrow) for arrow in self.arrows),
                *(self._box(piece) for piece in self.pieces),
            )
        )
        return (
            f'<svg role="img" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
            'style="max-width:100%;height:auto;font-family:var(--jp-ui-font-family,sans-serif)">'
            f"<title>{escape(self.title)}</title><desc>{escape(repr(self))}</desc>{drawn}</svg>"
        )

    def _frame(self, depth: int, thing: str, label: str, first: float, last: float) -> str:
        inset, pitch = depth * 12, _BOX + _GAP
        left, width = _C[0] - 28 + inset, _C[1] + 56 - 2 * inset
        top, bottom = 34 + first * pitch - 20, 34 + last * pitch + _BOX + (26 if depth == 0 else 12)
        return (
            _rect(left, top, width, bottom - top, lit=thing in self.lit, dashed=True)
            + _text(left + 8, top + 16, _short(label, width), lit=thing in self.lit, anchor="start")
            + (_here(left + width, bottom) if thing in self.lit else "")
        )

    def _box(self, piece: Piece) -> str:
        lit, (left, width) = piece.thing in self.lit, piece.column
        return (
            _rect(left, piece.top, width, _BOX, lit=lit)
            + _text(left + width / 2, piece.top + 21, _short(piece.what, width, bold=True), lit=lit, bold=True)
            + _text(left + width / 2, piece.top + 39, _short(piece.more, width), lit=lit)
            + (_here(left + width, piece.top) if lit else "")
        )

    def _arrow(self, start: str, end: str, label: str, dashed: bool) -> str:
        one, other = (next(piece for piece in self.pieces if piece.what == name) for name in (start, end))
        if one.column == other.column:
            down = other.top > one.top
            x, y = one.left + one.column[1] / 2, one.top + _BOX if down else one.top
            to_x, to_y = x, other.top if down else other.top + _BOX
            at = (x + 8, (y + to_y) / 2 + 4, "start")
        else:
            right = other.left > one.left
            x, y = (one.right if right else one.left), one.middle
            to_x, to_y = (other.left if right else other.right), other.middle
            at = (x + 4, y - 6, "start")
        return _line(x, y, to_x, to_y, dashed=dashed) + (_text(at[0], at[1], label, anchor=at[2]) if label else "")


# Each with the colour that stays where there is no theme.
_INK, _FAINT = "var(--jp-ui-font-color1,#212121)", "var(--jp-ui-font-color2,#616161)"
_PAPER, _BRAND = "var(--jp-layout-color1,#ffffff)", "var(--jp-brand-color1,#1565c0)"


def _rect(left: float, top: float, width: float, height: float, *, lit: bool, dashed: bool = False) -> str:
    stroke, thick = (_BRAND, 3) if lit else (_FAINT, 1)
    dashes = ";stroke-dasharray:6 4" if dashed and not lit else ""
    fill = "none" if dashed else _PAPER
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6" '
        f'style="fill:{fill};stroke:{stroke};stroke-width:{thick}{dashes}"/>'
    )


def _text(
    x: float, y: float, text: str, *, lit: bool = False, bold: bool = False, anchor: str = "middle", ink: str = _INK
) -> str:
    weight = ";font-weight:bold" if bold or lit else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" style="fill:{ink};font-size:14px{weight}">'
        f"{escape(text)}</text>"
    )


def _here(right: float, top: float) -> str:
    plate = (
        f'<rect x="{right - 74:g}" y="{top - 11:g}" width="68" height="18" rx="9" '
        f'style="fill:{_PAPER};stroke:{_BRAND};stroke-width:2"/>'
    )
    return plate + _text(right - 40, top + 2.5, _HERE, bold=True)


def _line(x: float, y: float, to_x: float, to_y: float, *, dashed: bool) -> str:
    """Elbows where the ends are not level; the head is drawn, as a marker's id would be another picture's, too."""
    dashes = ";stroke-dasharray:4 3" if dashed else ""
    middle = (x + to_x) / 2
    path = f"M{x:g} {y:g}H{middle:g}V{to_y:g}H{to_x:g}" if x != to_x else f"M{x:g} {y:g}V{to_y:g}"
    if x == to_x:
        away = 8 if y > to_y else -8
        head = f"M{to_x - 4:g} {to_y + away:g}L{to_x:g} {to_y:g}L{to_x + 4:g} {to_y + away:g}Z"
    else:
        away = 8 if x > to_x else -8
        head = f"M{to_x + away:g} {to_y - 4:g}L{to_x:g} {to_y:g}L{to_x + away:g} {to_y + 4:g}Z"
    return (
        f'<path d="{path}" style="fill:none;stroke:{_FAINT};stroke-width:1.5{dashes}"/>'
        f'<path d="{head}" style="fill:{_FAINT}"/>'
    )


def _short(text: str, width: float, *, bold: bool = False) -> str:
    """As much as fits; the whole is in the picture's description."""
    most = int((width - 12) / (7.5 if bold else 7))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def picture(p: Params, lit: Collection[str] = ()) -> Picture:
    """The deployment that these params ask for. `lit` has things of the plan's steps; absent ones are no matter."""
    scaled, cached = p.scales, p.cache == "elasticache"
    balancer = f"{'application' if scaled else 'classic'} load balancer"
    tasks = _range(p.replicas, p.max_replicas if scaled else None, "task")
    user = "IAM user" if p.credentials == "access-key" else "IAM role"
    role = {"access-key": p.user_name, "instance-role": p.node_role, "task-role": p.task_role}[p.credentials]
    pieces = [
        Piece("record", "DNS record", p.domain, _B, 0),
        Piece("", "docker", "login, push, pull", _A, 1),
        Piece("balancer", balancer, "HTTPS 443", _B, 1),
        Piece("certificate", "certificate", _certificate(p), _B, 2),
        Piece("groups", "security groups", "who reaches what", _A, 2),
        Piece("service", "service", tasks, _C, 1),
        Piece("task", "task definition", p.image, _C, 2),
        Piece("users", "users", "init container" if p.htpasswd == "init-container" else "htpasswd file", _C, 3),
        Piece("bucket", "S3 bucket", p.bucket, _D, 1),
        Piece("identity", user, role, _D, 2),
        Piece("", "Secrets Manager", "keys and passwords", _D, 3),
    ]
    arrows = [
        ("DNS record", balancer, "", True),
        ("docker", balancer, "HTTPS", False),
        ("certificate", balancer, "", True),
        ("task definition", "service", "", True),
        ("users", "task definition", "", True),
        ("service", "S3 bucket", "", False),
        (user, "S3 bucket", "may write", True),
        ("Secrets Manager", "users", "", True),
    ]
    if scaled:
        pieces += [
            Piece("targets", "target group", "dynamic ports", _B, 3),
            Piece("scaling", "scaling", f"{p.target_cpu} % CPU, {p.target_requests} req/min", _C, 4.35),
        ]
    arrows.append((balancer, "service", "HTTP" if scaled else "5000", False))
    if cached:
        pieces.append(Piece("cache", "ElastiCache", p.cache_node_type, _D, 0))
        arrows.append(("service", "ElastiCache", "", False))
    if p.alarms:
        pieces.append(Piece("alarms", "alarms", "CloudWatch", _D, 4.35))
    machines = _range(p.nodes, p.max_nodes if scaled else None, "node")
    frames = (
        ("cluster", f"ECS cluster: {p.cluster_name}", 0.15, 4.35 if scaled else 3),
        ("nodes", f"{'Auto Scaling group' if scaled else 'EC2'}: {machines}", 0.65, 3),
    )
    return Picture(p.title, tuple(pieces), tuple(arrows), frames, frozenset(lit))


def _range(least: int, most: int | None, what: str) -> str:
    if most is not None and most != least:
        return f"{least} to {most} {what}s"
    return f"1 {what}" if least == 1 else f"{least} {what}s"


def _certificate(p: Params) -> str:
    if p.certificate == "request":
        return "requested from ACM"
    return "of ACM" if p.certificate.startswith("arn:") else "imported from files"
