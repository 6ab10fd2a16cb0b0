"""A program in a pseudo-terminal, as a person would see it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

UP_AND_ERASE = "\x1b[1A\x1b[2K"


class Terminal:
    """Starts `command` with a terminal of 80 columns; what it shows is read as it comes."""

    def __init__(self, command, environment, cwd):
        self.raw = ""
        self.seen = 0
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execve(command[0], command, environment)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))

    def _read(self, timeout):
        """Takes what is there; False at the end."""
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)

    def expect(self, pattern, timeout):
        """Waits until something new matches; answers the match."""
        deadline = time.monotonic() + timeout
        going = True
        while True:
            match = re.search(pattern, self.raw[self.seen:])
            if match:
                self.seen += match.end()
                return match
            if not going or time.monotonic() >= deadline:
                raise TimeoutError(f"never shown: {pattern!r}; shown was:\n{self.screen()}")
            going = self._read(0.2)

    def send(self, text):
        os.write(self.fd, text.encode())

    def finish(self, timeout):
        """The exit status, once it has ended."""
        deadline = time.monotonic() + timeout
        while self._read(0.2):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"still running; shown was:\n{self.screen()}")
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= deadline:
                raise TimeoutError("its output is closed but it does not end")
            else:
                time.sleep(0.05)
        return self.status

    def close(self):
        """Ends it, whatever it does."""
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except OSError:
                pass
            self.status = -signal.SIGKILL
        os.close(self.fd)

    def screen(self):
        """The lines as they stand: redrawn ones only in their last form."""
        lines = [""]
        for part in re.split(f"({re.escape(UP_AND_ERASE)}|\n)", self.raw.replace("\r", "")):
            if part == "\n":
                lines.append("")
            elif part == UP_AND_ERASE:
                del lines[-2:]
                lines.append("")
            else:
                lines[-1] += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part)
        return "\n".join(lines)
