"""Runs a program as another user, in a directory that this user cannot enter by itself.

Root runs it as ``python -I unprivileged.py USER DIRECTORY COMMAND...``, isolated: Python imports
nothing from that directory. A working directory that was entered before stays open: the program
reaches it as `WORKING_DIRECTORY`, which asks for no permission of the directories above.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

WORKING_DIRECTORY = Path("/proc/self/cwd")  # Linux
NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)


def main(user: str, directory: str, *command: str) -> None:
    """Enter *directory*, become *user* for good, and run *command* in place of this process."""
    account = pwd.getpwnam(user)
    os.chdir(directory)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
