"""The buttons of the condition form: add, remove, group and ungroup checks."""

from collections.abc import Callable, Mapping
from typing import Final

from witnd.web.dashboard.forms.conditions import Check, Group, Node, tidy


def apply_button(rule: Group, do: str) -> None:
    """Apply a button: `check:0` adds a check to the first group. Ignore invalid places."""
    verb, _, place = do.partition(":")
    _act(rule, verb, place)
    tidy(rule)


def _act(rule: Group, verb: str, place: str) -> None:
    if verb in ("check", "group"):
        group = _at(rule, place)
        if isinstance(group, Group):
            group.members.append(Check() if verb == "check" else _new_group(group, Check()))
        return
    parent, number = _parent(rule, place)
    if parent is None:
        return
    if verb == "out":
        outer, behind = _parent(rule, place.rpartition(".")[0])
        if outer is not None:
            outer.members.insert(behind + 1, parent.members.pop(number))
    elif verb in _VERBS:
        _VERBS[verb](parent, number)


def _remove(parent: Group, number: int) -> None:
    del parent.members[number]


def _ungroup(parent: Group, number: int) -> None:
    group = parent.members[number]
    if isinstance(group, Group):
        parent.members[number : number + 1] = group.members


def _join(parent: Group, number: int) -> None:
    """A check goes into the group beside it; two checks get a group of their own."""
    if number + 1 >= len(parent.members):
        return
    one, other = parent.members[number : number + 2]
    if isinstance(other, Group) and other.op != "NOT":
        joined = Group(op=other.op, members=[one, *other.members])
    elif isinstance(one, Group) and one.op != "NOT":
        joined = Group(op=one.op, members=[*one.members, other])
    else:
        joined = _new_group(parent, one, other)
    parent.members[number : number + 2] = [joined]


def _new_group(parent: Group, *members: Node) -> Group:
    """In a list of which all must hold, a group is wanted for alternatives, and the other way round."""
    return Group(op="OR" if parent.op == "AND" else "AND", members=list(members))


_VERBS: Final[Mapping[str, Callable[[Group, int], None]]] = {"remove": _remove, "ungroup": _ungroup, "join": _join}


def _at(rule: Group, place: str) -> Node | None:
    node: Node = rule
    for part in place.split(".") if place else ():
        if not isinstance(node, Group) or not _is_of(node, part):
            return None
        node = node.members[int(part)]
    return node


def _parent(rule: Group, place: str) -> tuple[Group | None, int]:
    """The group that a place is in, and which of its members it is."""
    outer, _, last = place.rpartition(".")
    parent = _at(rule, outer)
    return (parent, int(last)) if isinstance(parent, Group) and _is_of(parent, last) else (None, 0)


def _is_of(group: Group, part: str) -> bool:
    return part.isdecimal() and len(part) < 5 and int(part) < len(group.members)
