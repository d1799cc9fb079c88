"""Does what its issue's id says, as the guest `misbehaving` does in Rust."""

from wit_world.imports.types import RepairError_UnsupportedIssue
from componentize_py_types import Err


class WitWorld:
    def name(self):
        return "python_misbehaving"

    def can_repair(self, issue):
        while issue.id == "loop":
            pass
        return True

    def propose(self, issue, context):
        if issue.id == "loop":
            while True:
                pass
        if issue.id == "memory":
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        if issue.id == "panic":
            raise ValueError("on purpose")
        if issue.id == "overflow":
            return str(deeper(1))
        if issue.id == "capabilities":
            return str({name: attempt(work) for name, work in CAPABILITIES.items()})
        return f"unknown misbehaviour {issue.id}"

    def repair(self, issue, context):
        raise Err(RepairError_UnsupportedIssue())

    def validate(self, issue, outcome):
        return True

    def rollback(self, outcome):
        pass

    def estimated_duration(self, issue):
        return 1


def deeper(depth):
    return 1 + deeper(depth + 1)


def environment():
    import os

    return dict(os.environ)


def random_number():
    import random

    return random.random()


CAPABILITIES = {"environment": environment, "random": random_number}


def attempt(work):
    try:
        return repr(work())
    except BaseException as error:
        return f"refused: {error!r}"
