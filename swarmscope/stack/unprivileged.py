"""Runs a program as another user, in a directory that this user cannot enter.

Root runs it as ``python -I unprivileged.py USER DIRECTORY COMMAND...``, isolated: Python imports
nothing from that directory. A working directory that was entered before stays open: the program
reaches it as `WORKING_DIRECTORY`, which requires no permission on the directories above.

Other processes of that user, such as services that run as ``nobody``, could enter it the same way:
``/proc/PID/cwd``. The kernel denies that for a process with a capability that they lack
(``ptrace(2)``, access mode checking), so the program keeps one that it does not need. It does not
get the environment, which may contain passwords.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

WORKING_DIRECTORY = Path("/proc/self/cwd")  # Linux
KEEP_CAPABILITIES = 8  # PR_SET_KEEPCAPS of prctl(2): permitted ones survive a change of the user
NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS
AMBIENT, RAISE = 47, 2  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE
BIND_LOW_PORTS = 10  # CAP_NET_BIND_SERVICE, which containers have by default
CAPABILITIES_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3 of capset(2)
PASSED_ON = {"LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SWARMSCOPE_STARTED_BY", "TZ"}


def main(user: str, directory: str, *command: str) -> None:
    """Enter *directory*, become *user* permanently, and replace this process by *command*."""
    account = pwd.getpwnam(user)
    libc = ctypes.CDLL(None)
    os.chdir(directory)
    libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    _keep(libc, BIND_LOW_PORTS)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.execve(command[0], command, _without_secrets(os.environ))


def _keep(libc: ctypes.CDLL, capability: int) -> None:
    """Drop all capabilities but one, which an executed program keeps; without that one, all."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
    for bits in (1 << capability, 0):
        # effective, permitted, inheritable; then the same of those above 31
        if libc.capset(header, (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)) == 0:
            break
    libc.prctl(AMBIENT, RAISE, capability, 0, 0)


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name in PASSED_ON}


if __name__ == "__main__":
    main(*sys.argv[1:])
