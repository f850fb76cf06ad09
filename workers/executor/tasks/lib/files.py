# Files in and out of a task's working folder, and the task's result, which holds them; used by
# code.python and code.shell.
#
# In:  {"path": "text"} or {"path": {"base64": "…"}}; Out: the same shape, for every regular file
# that was created or changed, first come by name, until the bounds are reached. What is left out is
# named, with its size and the bound, in the result and on standard error.
import binascii
import json
import os
import stat
import sys

WORK = "/work"
COUNT_MAX = 64
BYTES_MAX = 128 * 1024
DEPTH_MAX = 8
PATH_MAX = 255
RESULT_FD = 3
RESULT_MAX = 256 * 1024  # LIMIT_RESULT_BYTES of the executor
FRAME_MAX = 1024  # of it for what is around the value and the files
NAMED_MAX = 20  # of those that are left out


class Refused(Exception):
    pass


def check_path(path):
    parts = path.split("/")
    if (len(path) > PATH_MAX or len(parts) > DEPTH_MAX or "\0" in path
            or any(part in ("", ".", "..") for part in parts)):
        raise Refused("files: not a plain relative path: " + ascii(path[:80]))
    return parts


def write_all(files):
    if len(files) > COUNT_MAX:
        raise Refused("files: more than %d" % COUNT_MAX)
    for path, content in files.items():
        parts = check_path(path)
        if isinstance(content, str):
            data = content.encode("utf-8", "surrogatepass")
        else:
            try:
                data = binascii.a2b_base64("".join(content["base64"].split()), strict_mode=True)
            except (ValueError, KeyError, AttributeError):
                raise Refused("files: not base64: " + ascii(path[:80])) from None
        try:
            folder = os.path.join(WORK, *parts[:-1])
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, parts[-1]), "wb") as out:
                out.write(data)
        except OSError as error:  # a file where another's folder is wanted; no room
            raise Refused("files: %s: %s" % (ascii(path[:80]), error.strerror)) from None


def listing(too_deep=None):
    """{relative path: (mtime_ns, size, inode)} of the regular files; symbolic links are not
    followed."""
    found = {}
    pending = [("", 0)]
    while pending:
        folder, depth = pending.pop()
        try:
            with os.scandir(os.path.join(WORK, folder)) as entries:
                for entry in entries:
                    path = folder + "/" + entry.name if folder else entry.name
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(info.st_mode):
                        found[path] = (info.st_mtime_ns, info.st_size, info.st_ino)
                    elif stat.S_ISDIR(info.st_mode) and depth + 1 < DEPTH_MAX:
                        pending.append((path, depth + 1))
                    elif stat.S_ISDIR(info.st_mode) and too_deep is not None:
                        too_deep.append(path + "/")
        except OSError:
            pass
    return found


class LeftOut(Exception):
    """The bound that a file breaks."""


def read_one(path, size, room):
    """The content of a file, as a result holds it, and how many bytes it takes of the room."""
    if len(path) > PATH_MAX:
        raise LeftOut("a path of %d characters" % PATH_MAX)
    try:
        path.encode("utf-8")
        fd = os.open(os.path.join(WORK, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            data = file.read(room + 1)
    except UnicodeEncodeError:
        raise LeftOut("a name in UTF-8") from None
    except OSError as error:
        raise LeftOut("it cannot be read: " + error.strerror) from None
    if len(data) > room:
        raise LeftOut("%d bytes of files" % BYTES_MAX)
    try:
        text = data.decode("utf-8")
        if not any(c < " " and c not in "\t\n\r" for c in text):
            return text, len(data)
    except UnicodeDecodeError:
        pass
    if len(data) * 4 // 3 > room:
        raise LeftOut("%d bytes of files, as base64" % BYTES_MAX)
    return {"base64": binascii.b2a_base64(data, newline=False).decode("ascii")}, len(data) * 4 // 3


def read_changed(before, json_room):
    """(files, left_out): what differs from `before`, and {path: {"bytes", "bound"}} of what did not
    fit: json_room is what the result has left for them."""
    files, left_out, room, too_deep = {}, {}, BYTES_MAX, []
    for path, mark in sorted(listing(too_deep).items()):
        if before.get(path) == mark:
            continue
        try:
            if len(files) == COUNT_MAX:
                raise LeftOut("%d files" % COUNT_MAX)
            content, size = read_one(path, mark[1], room)
            needed = len(json.dumps({path: content}, ensure_ascii=False).encode("utf-8"))
            if needed > json_room:
                raise LeftOut("%d bytes of result, as JSON" % RESULT_MAX)
        except LeftOut as reason:
            left_out[path] = {"bytes": mark[1], "bound": str(reason)}
            continue
        files[path] = content
        room -= size
        json_room -= needed
    for path in sorted(too_deep):
        left_out[path] = {"bound": "%d folders deep" % DEPTH_MAX}
    return files, left_out


def say(line):
    print(line, file=sys.stderr, flush=True)


def shown(path):
    """A name that JSON and a terminal can hold."""
    return (path if path.isprintable() else ascii(path))[:PATH_MAX]


def add_left_out(text, left_out, refused):
    """The member left_out, with as many names as there is room for."""
    named = {shown(path): why for path, why in list(left_out.items())[:NAMED_MAX]}
    while True:
        missing = {}
        if refused:
            missing["value"] = refused
        if left_out:
            missing["files"] = named
        if len(named) < len(left_out):
            missing["more_files"] = len(left_out) - len(named)
        full = text + ',"left_out":' + json.dumps(missing, ensure_ascii=False)
        if not named or len(full.encode("utf-8")) + 2 <= RESULT_MAX:
            return full
        named.popitem()


def write_result(value, before, refused=None):
    """The task's result to descriptor 3. value: JSON text; refused: {"bytes", "bound"} of a value
    that was left out for its size."""
    files, left_out = read_changed(before, RESULT_MAX - len(value.encode("utf-8")) - FRAME_MAX)
    text = '"value":%s,"files":%s' % (value, json.dumps(files, ensure_ascii=False))
    for path, why in list(left_out.items())[:NAMED_MAX]:
        size = "%d bytes, " % why["bytes"] if "bytes" in why else ""
        say("files: %s: %sleft out; the bound is %s" % (shown(path), size, why["bound"]))
    if len(left_out) > NAMED_MAX:
        say("files: %d more left out" % (len(left_out) - NAMED_MAX))
    if left_out or refused:
        text = add_left_out(text, left_out, refused)
    with open(RESULT_FD, "w", encoding="utf-8") as out:
        out.write("{%s}" % text)
