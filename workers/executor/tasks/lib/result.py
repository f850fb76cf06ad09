# A value of Python as the JSON text of a task's result: exactly, or not at all with the reason and
# the place. Used by code.python.
import json
import math

DEPTH_MAX = 15  # one less than an answer holds: the value is itself a member


class Refused(Exception):
    pass


def below(place, name):
    return "%s.%s" % (place, name) if name.isidentifier() else "%s[%s]" % (place, ascii(name[:64]))


def check_text(text, place):
    if "\0" in text:
        raise Refused("%s: U+0000 in a string is not taken" % place)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refused("%s: a lone surrogate, U+%04X, in a string is not taken"
                      % (place, ord(text[error.start]))) from None


def check_number(value, place):
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("%s: %r is no JSON value" % (place, float(value)))
    try:
        int.__repr__(value) if isinstance(value, int) else None
    except ValueError:
        raise Refused("%s: an integer of more than 4300 digits is not taken" % place) from None


def name_of(key, place):
    """A member's name as json.dumps writes it."""
    if isinstance(key, str):
        check_text(key, place)
        return str(key)
    if key is None or isinstance(key, (bool, int, float)):
        check_number(key, place)
        return json.dumps(key)
    raise Refused("%s: a key of type %s is no JSON name" % (place, type(key).__name__))


def check_members(value, place, depth):
    names = set()
    for key, member in value.items():
        name = name_of(key, place)
        if name in names:
            raise Refused("%s: the member %s twice" % (place, ascii(name[:64])))
        names.add(name)
        check(member, below(place, name), depth + 1)


def check(value, place="result", depth=0):
    """Raises Refused for what JSON, or an answer of ours, cannot hold."""
    if isinstance(value, str):
        check_text(value, place)
    elif value is None or isinstance(value, (bool, int, float)):
        check_number(value, place)
    elif not isinstance(value, (dict, list, tuple)):
        raise Refused("%s: %s is no JSON value" % (place, type(value).__name__))
    elif depth >= DEPTH_MAX:
        raise Refused("%s: nested more than %d deep" % (place, DEPTH_MAX))
    elif isinstance(value, dict):
        check_members(value, place, depth)
    else:
        for at, item in enumerate(value):
            check(item, "%s[%d]" % (place, at), depth + 1)


def encode(value):
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except Exception as error:  # the value may be anything, and so may its methods
        text, reason = None, "%s: %s" % (type(error).__name__, error)
    try:
        check(value)
    except Refused:
        raise
    except Exception as error:
        text, reason = None, "%s: %s" % (type(error).__name__, error)
    if text is None:
        raise Refused("result: is no JSON value: " + reason[:200])
    return text
