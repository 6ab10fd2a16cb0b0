"""Memory of a process as it runs: its peak resident set, and the peak of the anonymous part (no file pages)."""

import threading

FIELDS = ("VmHWM", "RssAnon")
PAUSE = 0.02


def status(pid):
    """{"VmHWM": bytes, "RssAnon": bytes} of now; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return {}
    return {line[0][:-1]: 1024 * int(line[1]) for line in lines if line and line[0][:-1] in FIELDS}


class Watch:
    """Samples processes every 20 ms from a thread of its own until `stop`. `find` gives the pids to look at."""

    def __init__(self, find):
        self._find = find
        self._ended = threading.Event()
        self._peaks = {}  # By process.
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._ended.wait(PAUSE):
            for pid in self._find():
                peaks = self._peaks.setdefault(pid, dict.fromkeys(FIELDS, 0))
                for field, value in status(pid).items():
                    peaks[field] = max(peaks[field], value)

    def stop(self):
        """{"memory": peak of the resident set, "anonymous": peak of its anonymous part, both of the largest process; "each": the former
        of every process, largest first}, in bytes."""
        self._ended.set()
        self._thread.join()
        of = {field: sorted((peaks[field] for peaks in self._peaks.values()), reverse=True) for field in FIELDS}
        return {"memory": max(of["VmHWM"], default=0), "anonymous": max(of["RssAnon"], default=0), "each": of["VmHWM"]}
