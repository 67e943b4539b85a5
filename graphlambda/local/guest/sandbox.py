"""Shuts the own process in, with Linux's namespaces or Landlock, by system calls alone.

In: a specification with `level`, `parent` and the level's own members. Out: nothing; the process sees less.
Must not decide anything: the service has planned each step. Needs a process with one thread. Has no pathlib, which
costs 5 ms of each cold start.

Namespaces: a root of its own (a tmpfs, with binds of what may be seen), its own process ids (whatever a function
starts dies with it), no capabilities. The network stays the host's: a function has outbound network, unless it is to
have none: then it gets one of its own, in which nothing is reached but its Runtime API. A parent of
environments gets such a world too, in a user namespace always: the rights that it keeps, to make a world for each
child, are none outside of it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import struct
import sys

TYPE_CHECKING = False  # the typing module costs 4 ms of a cold start
if TYPE_CHECKING:
    from typing import Any

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWIPC = 0x20000, 0x10000000, 0x20000000, 0x08000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_RUNTIME_API = "127.0.0.1", 9001
"""Where Lambda's own lies, too."""
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_RDONLY = 2, 4, 8, 1
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 442, 444, 445, 446
_KEPT_BY_ROOT = 1 << 0 | 1 << 1 | 1 << 3
"""CHOWN, DAC_OVERRIDE, FOWNER: root goes on reading other people's visible files, as outside."""
_READ = 1 << 0 | 1 << 2 | 1 << 3
"""Landlock: execute, read a file, list a folder."""
_LANDLOCK_SCOPES = 1 << 0 | 1 << 1
"""Landlock: no abstract sockets and no signals to processes outside."""
_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
"""Landlock: the rights that a rule for a file (not a folder) may name."""


def enter(spec: dict[str, Any]) -> None:
    """Shut the process in as the specification says, and tie its life to its parent's.

    Raises:
        OSError: the kernel does not allow it here.
    """
    if sys.platform != "linux":
        return
    die_with(spec["parent"])
    if spec["level"] == "namespaces":
        enter_namespaces(spec)
    elif spec["level"] == "landlock":
        enter_landlock(spec["readable"], spec["writable"])


def enter_as_parent(spec: dict[str, Any]) -> None:
    """Shut a parent in: like `enter`, but it can still make worlds inside of its own.

    Raises:
        OSError: the kernel does not allow it here.
    """
    die_with(spec["parent"])
    if spec["level"] == "namespaces":
        network = 0 if spec["network"] else _CLONE_NEWNET
        _unshare_with_users(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC | network)
        _go_on_inside()
        _build_root(spec["root"], spec["mounts"])
    elif spec["level"] == "landlock":
        enter_landlock(spec["readable"], spec["writable"])


def listen_alone() -> int:
    """Leave the network for one that reaches nothing, and return what listens on the Runtime API's address there."""
    import fcntl  # noqa: PLC0415 - seldom needed
    import socket  # noqa: PLC0415 - as above

    _check(_libc().unshare(_CLONE_NEWNET), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    return socket.create_server(_RUNTIME_API).detach()


def hand_over(listener: int) -> None:
    """Give what listens to the service, which is at the other end of standard input."""
    import socket  # noqa: PLC0415 - seldom needed

    with socket.socket(fileno=os.dup(0)) as service:
        socket.send_fds(service, [b"port"], [listener])
    os.close(listener)


def children() -> bool:
    """Return whether this process has any."""
    return bool(_read(f"/proc/self/task/{os.getpid()}/children").strip())


def own_processes() -> int:
    """Return a handle of the own world of processes, for `fork_outside`."""
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def fork_outside(own: int) -> int:
    """Fork a child that is process 1 of a new world, as `os.fork` would; `own` is the caller's."""
    libc = _libc()
    _check(libc.unshare(_CLONE_NEWPID), "unshare")
    child = os.fork()
    if child:
        _check(libc.setns(own, _CLONE_NEWPID), "setns")
    return child


def enter_inner_world(mounts: list[list[Any]], end: int) -> None:
    """Go on as a process of a new world within a parent's, from its process 1, which writes how it ends to `end`."""
    _check(_libc().unshare(_CLONE_NEWNS | _CLONE_NEWIPC), "unshare")
    for kind, source, target, option in mounts:
        _STEPS[kind](source, target, option)
    function = os.fork()
    if function:
        _be_first(function, end)
    os.close(end)
    _drop_capabilities()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def enter_namespaces(spec: dict[str, Any]) -> None:
    """Go on as a process of its own world; the caller stays behind and ends as that process does.

    Three processes: the caller, process 1 of the new world, and the function. Process 1 is needed because the kernel
    keeps from it the signals of its own world: a function must be able to kill itself.
    """
    _unshare()
    if not spec["network"]:
        hand_over(listen_alone())
    end = _go_on_inside()
    function = os.fork()
    if function:
        _be_first(function, end)
    os.close(end)
    _build_root(spec["root"], spec["mounts"])
    _drop_capabilities()


def enter_landlock(readable: list[str], writable: list[str]) -> None:
    """Allow these paths, and no others, from now on.

    Raises:
        OSError: this kernel has no Landlock.
    """
    libc = _libc()
    abi = _check(libc.syscall(_LANDLOCK_CREATE, None, 0, 1), "landlock_create_ruleset")
    handled = (1 << (13, 14, 15)[min(abi, 3) - 1]) - 1
    scoped = _LANDLOCK_SCOPES if abi >= 6 else 0
    attributes = struct.pack("QQQ", handled, 0, scoped)[: 24 if scoped else 8]
    rules = _check(libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0), "landlock_create_ruleset")
    for paths, rights in ((readable, _READ), (writable, handled)):
        for path in paths:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = rights if os.path.isdir(path) else rights & _OF_FILES & handled  # noqa: PTH112 - no pathlib here
            rule = struct.pack("=Qi", allowed, descriptor)
            _check(libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0), f"landlock_add_rule({path})")
            os.close(descriptor)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check(libc.syscall(_LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _unshare() -> None:
    """Leave the host's mounts and process ids; without the right to, in a user namespace of our own."""
    libc, flags = _libc(), _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC
    if os.geteuid() == 0 and libc.unshare(flags) == 0:
        return
    _unshare_with_users(flags)


def _unshare_with_users(flags: int) -> None:
    """Leave for a user namespace of our own, in which everybody who can be named is who he is outside."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _unshare_as_root(flags)
        return
    _check(_libc().unshare(flags | _CLONE_NEWUSER), "unshare")
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        _write(f"/proc/self/{name}", content)


def _unshare_as_root(flags: int) -> None:
    """Take everybody along: only a process that stays outside may say so."""
    left, leave = os.pipe()
    maps = {name: _same(_read(f"/proc/self/{name}")) for name in ("uid_map", "gid_map")}
    target = os.getpid()
    writer = os.fork()
    if not writer:
        os.close(leave)
        os.read(left, 1)
        for name, content in maps.items():
            _write(f"/proc/{target}/{name}", content)
        os._exit(0)
    os.close(left)
    unshared = _libc().unshare(flags | _CLONE_NEWUSER)
    number = ctypes.get_errno()
    os.close(leave)
    _, status = os.waitpid(writer, 0)
    if unshared or status:
        raise OSError(number, f"unshare: {os.strerror(number)}" if unshared else "uid_map was not written")


def _same(ranges: str) -> str:
    """Return the map that names each number of these ranges by itself."""
    fields = [line.split() for line in ranges.splitlines()]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in fields)


def _go_on_inside() -> int:
    """Go on as process 1 of the world that was just made; the caller stays behind and ends as it is told.

    Returns where to write how the function ended.
    """
    ended, end = os.pipe()
    child = os.fork()
    if child:
        os.close(end)
        _stand_in_for(child, ended)
    _die_with_outsider(ended, end)
    return end


def _stand_in_for(child: int, ended: int) -> None:
    """Wait for the child's word on how the function ended, then end likewise: the service sees one process."""
    status = os.read(ended, 4)
    _, own = os.waitpid(child, 0)
    _end_like(struct.unpack("i", status)[0] if status else own)


def _die_with_outsider(ended: int, end: int) -> None:
    """Have the kernel kill this process with its parent, which has no number in this world."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    os.close(ended)  # now the parent alone holds this end
    waiting = select.poll()
    waiting.register(end, 0)
    if waiting.poll(0):  # the parent had ended before
        os._exit(1)


def _be_first(function: int, end: int) -> None:
    """Be process 1: bury the dead until the function ends, and say how it did. All others end with this process."""
    while True:
        pid, status = os.wait()
        if pid == function:
            os.write(end, struct.pack("i", status))
            os._exit(0)


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 255)


def _build_root(root: str, mounts: list[list[Any]]) -> None:
    """Make the world that the mounts describe, and move into it."""
    libc = _libc()
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=16m")
    for kind, source, target, option in mounts:
        _STEPS[kind](source, root + target, option)
    os.chdir(root)
    _check(libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    _check(libc.umount2(b".", _MNT_DETACH), "umount2")
    _set_readonly("/", recursive=False)
    os.chdir("/")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    result = _libc().mount(*encoded, ctypes.c_ulong(flags), data.encode() or None)
    _check(result, f"mount({source}, {target})")


def _set_readonly(path: str, *, recursive: bool = True) -> None:
    flags = _AT_RECURSIVE if recursive else 0
    attributes = struct.pack("QQQQ", 1 | 2, 0, 0, 0)  # read-only, no set-user-id
    _check(
        _libc().syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attributes, 32),
        f"mount_setattr({path})",
    )


def _bind(source: str, target: str, option: str) -> None:
    """Show `source` at `target`; `option` is `ro` or `rw`."""
    if os.path.isdir(source):  # noqa: PTH112 - no pathlib here
        os.makedirs(target, exist_ok=True)  # noqa: PTH103 - no pathlib here
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120 - no pathlib here
        os.close(os.open(target, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644))
    _mount(source, target, None, _MS_BIND | _MS_REC)
    if option == "ro":
        _set_readonly(target)


def _tmpfs(source: str, target: str, option: str) -> None:
    """Show an empty folder; `option` are the mount's options."""
    os.makedirs(target, exist_ok=True)  # noqa: PTH103 - no pathlib here
    _mount(source, target, "tmpfs", _MS_NOSUID | _MS_NODEV, option)


def _processes(source: str, target: str, option: str) -> None:
    """Show the own processes, and let nothing be set through them."""
    del option
    os.makedirs(target, exist_ok=True)  # noqa: PTH103 - no pathlib here
    _mount(source, target, "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC | _MS_RDONLY)


def _link(source: str, target: str, option: str) -> None:
    """Make a symbolic link to `source`, unless something is there."""
    del option
    if not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120 - no pathlib here
        os.symlink(source, target)  # noqa: PTH211 - no pathlib here


def _hide(source: str, target: str, option: str) -> None:
    """Take a mount away."""
    del source, option
    _check(_libc().umount2(target.encode(), _MNT_DETACH), f"umount2({target})")


_STEPS = {"bind": _bind, "tmpfs": _tmpfs, "proc": _processes, "link": _link, "hide": _hide}


def _drop_capabilities() -> None:
    """Give up what the namespaces gave; a root of the host keeps its way with files."""
    libc = _libc()
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    inner = _read("/proc/self/uid_map").split() != ["0", "0", "4294967295"]
    kept = _KEPT_BY_ROOT if not inner else 0
    header = struct.pack("Ii", 0x20080522, 0)
    _check(libc.capset(header, struct.pack("IIIIII", kept, kept, 0, 0, 0, 0)), "capset")


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - no pathlib here
        return file.read()


def _write(path: str, content: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - no pathlib here
        file.write(content)
