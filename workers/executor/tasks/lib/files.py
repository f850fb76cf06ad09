# Files in and out of a task's working folder; used by code.python and code.shell.
#
# In:  {"path": "text"} or {"path": {"base64": "…"}}; Out: the same shape, for every regular file
# that was created or changed, first come by name, until the bounds are reached.
import binascii
import os
import stat

WORK = "/work"
COUNT_MAX = 64
BYTES_MAX = 128 * 1024
DEPTH_MAX = 8


class Refused(Exception):
    pass


def check_path(path):
    parts = path.split("/")
    if (len(path) > 255 or len(parts) > DEPTH_MAX or "\0" in path
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


def listing():
    """{relative path: (mtime_ns, size, inode)} of the regular files; symbolic links are not followed."""
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
        except OSError:
            pass
    return found


def read_one(path, room):
    fd = os.open(os.path.join(WORK, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        data = file.read(room + 1)
    if len(data) > room:
        return None, 0
    try:
        text = data.decode("utf-8")
        if not any(c < " " and c not in "\t\n\r" for c in text):
            return text, len(data)
    except UnicodeDecodeError:
        pass
    return {"base64": binascii.b2a_base64(data, newline=False).decode("ascii")}, len(data) * 4 // 3


def read_changed(before):
    """(files, left_out): what differs from `before`; left_out: how many did not fit the bounds."""
    files, left_out, room = {}, 0, BYTES_MAX
    for path, mark in sorted(listing().items()):
        if before.get(path) == mark:
            continue
        try:
            path.encode("utf-8")
            content, size = read_one(path, room) if len(files) < COUNT_MAX else (None, 0)
        except (OSError, UnicodeEncodeError):
            continue
        if content is None:
            left_out += 1
        else:
            files[path] = content
            room -= size
    return files, left_out
