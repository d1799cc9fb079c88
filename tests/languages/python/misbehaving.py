"""Does what its issue's id says, as the guest `misbehaving` does in Rust."""

from componentize_py_types import Err
from wit_world.imports import log
from wit_world.imports.types import RepairError_UnsupportedIssue


class WitWorld:
    def name(self):
        return "python_misbehaving"

    def settings(self):
        return []

    def can_repair(self, issue):
        while issue.id == "loop":
            pass
        return True

    def propose(self, issue, context):
        try:
            return misbehave(issue.id)
        except Exception as error:
            # The words of an exception that ends the call are those of the last error in the log.
            log.write(log.Level.ERROR, repr(error))
            raise

    def repair(self, issue, context):
        raise Err(RepairError_UnsupportedIssue())

    def validate(self, issue, outcome):
        return True

    def rollback(self, outcome):
        pass

    def estimated_duration(self, issue):
        return 1


def misbehave(what):
    match what:
        case "loop":
            while True:
                pass
        case "memory":
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        case "panic":
            raise ValueError("on purpose")
        case "overflow":
            return str(deeper(1))
        case "capabilities":
            return f"environment {attempt(environment)}, random {attempt(random_number)}"
        case "read-file":
            return attempt(lambda: open("/etc/hostname").read())
        case "open-socket":
            return attempt(socket)
        case _:
            return f"unknown misbehaviour {what}"


def deeper(depth):
    return 1 + deeper(depth + 1)


def environment():
    import os

    return dict(os.environ)


def random_number():
    import random

    return random.random()


def socket():
    import socket

    return socket.create_connection(("127.0.0.1", 1))


def attempt(work):
    try:
        return repr(work())
    except BaseException as error:
        return f"refused: {error!r}"
