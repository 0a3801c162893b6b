"""Breaks behind the balancer."""

from .frame import Break

BREAKS: dict[int, Break] = {}
NOT_HERE: dict[int, str] = {}
