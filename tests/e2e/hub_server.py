"""A hub on this machine that speaks as Hugging Face and as ModelScope do, and fails in the ways that both do.

Two servers: the hub, and the storage on another port to which the hub redirects for large files, with signed addresses that
lapse. It is true to life when `huggingface_hub` (HF_ENDPOINT) and `modelscope` (MODELSCOPE_ENDPOINT) download from it.

    hub = HubServer()                     # On free ports.
    hub.add("owner/name", {"config.json": b"{}", "model.safetensors": data}, large={"model.safetensors"})
    hub.faults.cuts = [1000, 70000]       # The next answers of the storage end after so many bytes of the file.
    hub.requests                          # What was asked: dicts of server, method, path, headers, range, sent, status.
"""

import email.utils
import gzip
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

TREE_PAGE = 1000
MODELSCOPE_CUT = 3000


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repository:
    def __init__(self, files, large, kind):
        self.files = dict(files)
        self.large = set(large)
        self.kind = kind
        self.sha256 = {path: hashlib.sha256(content).hexdigest() for path, content in self.files.items()}
        listing = json.dumps(sorted(self.sha256.items())).encode()
        self.commit = hashlib.sha1(listing).hexdigest()
        self.revisions = {"main", "master"}
        self.tokens = None  # Those that may read it; None = everybody.
        self.gated = False


class Faults:
    """What goes wrong. Each is used up as it happens, but for the flags."""

    def __init__(self):
        self.cuts = []                # Offsets in the file: an answer that passes the first one ends there.
        self.ignore_ranges = False    # The storage answers 200 with the whole file.
        self.wrong_bytes = 0          # So many answers of the storage have a byte changed.
        self.lapse_after = 0          # An address is good for so many requests; 0 = always.
        self.limits = []              # (part of the path, "ratelimit" | "retry-after" | "date", seconds), one answer 429 each.
        self.missing = set()          # Paths whose content is gone (EntryNotFound).
        self.redirect_to = ""         # Where large files lie, in place of the storage.
        self.storage_delay = 0        # Seconds before each piece of 1 MiB.
        self.hiccups = 0              # So many answers 503 of the API.
        self.before_content = None    # Called before the content of a file is sent.
        self.lies_about_size = 0      # Added to every size of a listing.


class HubServer:
    def __init__(self):
        self.repositories = {}
        self.renamed = {}
        self.faults = Faults()
        self.requests = []
        self.lock = threading.Lock()
        self.signed = {}
        self.hub = self._serve(HubHandler)
        self.storage = self._serve(StorageHandler)
        self.endpoint = f"http://127.0.0.1:{self.hub.server_port}"

    def _serve(self, handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.owner = self
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def add(self, name, files, large=(), kind="models"):
        self.repositories[kind, name] = repository = Repository(files, large, kind)
        return repository

    def close(self):
        for server in (self.hub, self.storage):
            server.shutdown()
            server.server_close()

    def address_of(self, sha256):
        """A signed address in the storage."""
        with self.lock:
            key = f"s{len(self.signed)}"
            self.signed[key] = 0
        host = self.faults.redirect_to or f"http://127.0.0.1:{self.storage.server_port}"
        return f"{host}/objects/{sha256}?signature={key}"

    def is_good(self, key):
        """Whether an address has not lapsed; counts the use."""
        with self.lock:
            if key not in self.signed:
                return False
            self.signed[key] += 1
            return not self.faults.lapse_after or self.signed[key] <= self.faults.lapse_after

    def content_of(self, sha256):
        for repository in self.repositories.values():
            for path, digest in repository.sha256.items():
                if digest == sha256:
                    return repository.files[path]
        return None

    def sent(self, server):
        """Bytes of files that a server sent."""
        with self.lock:
            return sum(request["sent"] for request in self.requests if request["server"] == server)

    def forget(self):
        with self.lock:
            self.requests.clear()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name = ""

    def log_message(self, *_):
        pass

    def note(self):
        self.request = {"server": self.name, "method": self.command, "path": self.path, "headers": dict(self.headers),
                        "range": self.headers.get("Range", ""), "sent": 0, "status": 0}
        with self.hub.lock:
            self.hub.requests.append(self.request)

    @property
    def hub(self):
        return self.server.owner

    def answer(self, status, body=b"", headers=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.request["status"] = status
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_content(self, content, headers, ranges=True):
        """A file's content or a range of it, with the faults of the day."""
        faults = self.hub.faults
        if faults.before_content:
            faults.before_content()
        begin, end, status = 0, len(content), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and ranges and not faults.ignore_ranges:
            begin = int(asked[1])
            end = min(end, int(asked[2]) + 1) if asked[2] else end
            if begin >= len(content):
                return self.answer(416, headers={"Content-Range": f"bytes */{len(content)}"})
            status = 206
            headers = {**headers, "Content-Range": f"bytes {begin}-{end - 1}/{len(content)}"}
        with self.hub.lock:
            cut = min((at for at in faults.cuts if begin <= at < end), default=None)
            if cut is not None and self.command == "GET":
                faults.cuts.remove(cut)
            if faults.wrong_bytes and self.command == "GET":
                faults.wrong_bytes -= 1
                content = bytes([content[0] ^ 1]) + content[1:]
        self.request["status"] = status
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if self.command == "HEAD":
            return None
        stop = end if cut is None else cut
        for at in range(begin, stop, 1 << 20):
            if faults.storage_delay:
                time.sleep(faults.storage_delay)
            piece = content[at:min(stop, at + (1 << 20))]
            self.wfile.write(piece)
            self.request["sent"] += len(piece)
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
        return None

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.note()
        try:
            self.serve()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class StorageHandler(Handler):
    name = "storage"

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        key = urllib.parse.parse_qs(url.query).get("signature", [""])[0]
        content = self.hub.content_of(url.path.rpartition("/")[2])
        if content is None or not self.hub.is_good(key):
            return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        return self.send_content(content, {"Content-Type": "application/octet-stream"})


class HubHandler(Handler):
    name = "hub"

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        path, query = url.path, {key: value[0] for key, value in urllib.parse.parse_qs(url.query).items()}
        if self.limited():
            return None
        if path.startswith("/api/v1/"):
            return self.modelscope(path[len("/api/v1/"):], query)
        if path.startswith("/api/"):
            return self.huggingface_api(path[len("/api/"):], query)
        return self.resolve(path[1:])

    def limited(self):
        with self.hub.lock:
            if self.hub.faults.hiccups:
                self.hub.faults.hiccups -= 1
                hiccup = True
            else:
                hiccup = False
            limit = next((limit for limit in self.hub.faults.limits if limit[0] in self.path), None)
            if limit and not hiccup:
                self.hub.faults.limits.remove(limit)
        if hiccup:
            self.answer(503, b"busy")
            return True
        if not limit:
            return False
        _, form, seconds = limit
        headers = {"ratelimit": {"RateLimit": f'"resolvers";r=0;t={seconds}'}, "retry-after": {"Retry-After": str(seconds)},
                   "date": {"Retry-After": email.utils.formatdate(time.time() + seconds, usegmt=True)}}[form]
        self.answer(429, {"error": "too many requests"}, headers)
        return True

    def token(self):
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    # Hugging Face.

    def refuse(self, status, code, message):
        self.answer(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message, "X-Request-Id": "Root=1-test"})

    def found(self, kind, name):
        """The repository, or None once it is refused."""
        if (kind, name) in self.hub.renamed:
            target = self.path.replace(name, self.hub.renamed[kind, name])
            self.answer(307, b"", {"Location": target})
            return None
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            self.refuse(401 if not self.token() else 404, "RepoNotFound", "Repository not found")
            return None
        if repository.tokens is not None and self.token() not in repository.tokens:
            if repository.gated:
                self.refuse(401 if not self.token() else 403, "GatedRepo", "Access to this repository is restricted")
            elif self.token():
                self.answer(401, {"error": "Invalid credentials in Authorization header"})
            else:
                self.refuse(401, "RepoNotFound", "Repository not found")
            return None
        return repository

    def huggingface_api(self, path, query):
        if path == "whoami-v2":
            return self.answer(200, {"name": "tester"})
        match = re.fullmatch(r"(models|datasets)/((?:[^/]+/)?[^/]+?)(?:/(revision|tree)/([^/]+)(?:/.*)?)?", path)
        repository = self.found(match[1], match[2]) if match else self.refuse(404, "RepoNotFound", "no such page")
        if repository is None:
            return None
        revision = urllib.parse.unquote(match[4] or "main")
        if revision not in repository.revisions | {repository.commit}:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if match[3] != "tree":
            return self.answer(200, {"id": match[2], "sha": repository.commit, "private": False, "gated": repository.gated,
                                     "siblings": [{"rfilename": name} for name in repository.files]})
        names = sorted(repository.files)
        start = int(query.get("cursor", "0"))
        headers = {}
        if start + TREE_PAGE < len(names):
            address = f"{self.hub.endpoint}{self.path.partition('?')[0]}?recursive=true&expand=false&cursor={start + TREE_PAGE}"
            headers["Link"] = f'<{address}>; rel="next"'
        return self.answer(200, [self.tree_entry(repository, name) for name in names[start:start + TREE_PAGE]], headers)

    def tree_entry(self, repository, name):
        content = repository.files[name]
        size = len(content) + self.hub.faults.lies_about_size
        entry = {"type": "file", "path": name, "size": size, "oid": git_sha1(content)}
        if name in repository.large:
            entry["oid"] = git_sha1(f"pointer of {name}".encode())
            entry["lfs"] = {"oid": repository.sha256[name], "size": size, "pointerSize": 134}
        return entry

    def resolve(self, path):
        match = re.fullmatch(r"(datasets/)?((?:[^/]+/)?[^/]+)/resolve/([^/]+)/(.+)", path)
        if not match:
            return self.answer(404, b"no such page")
        repository = self.found("datasets" if match[1] else "models", match[2])
        if repository is None:
            return None
        if urllib.parse.unquote(match[3]) not in repository.revisions | {repository.commit}:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        name = urllib.parse.unquote(match[4])
        if name not in repository.files or name in self.hub.faults.missing:
            return self.refuse(404, "EntryNotFound", f"{name} does not exist")
        content = repository.files[name]
        headers = {"X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
        if name not in repository.large:
            headers["ETag"] = f'"{git_sha1(content)}"'
            if "identity" not in self.headers.get("Accept-Encoding", "identity"):
                return self.send_compressed(content, headers)
            return self.send_content(content, headers)
        headers.update({"X-Linked-ETag": f'"{repository.sha256[name]}"', "X-Linked-Size": str(len(content)),
                        "Location": self.hub.address_of(repository.sha256[name])})
        return self.answer(302, b"", headers)

    def send_compressed(self, content, headers):
        """As a CDN does with text: chunked, without a length."""
        self.request["status"] = 200
        self.send_response(200)
        for key, value in {**headers, "Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = gzip.compress(content)
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    # ModelScope.

    def say(self, status, data=None, message="", headers=None):
        self.answer(status, {"Code": status, "Success": status == 200, "Message": message, "Data": data}, headers)

    def modelscope(self, path, query):
        match = re.fullmatch(r"(models|datasets)/([^/]+/[^/]+)(?:/(.*))?", path)
        repository = self.hub.repositories.get((match[1], match[2])) if match else None
        if repository is None:
            return self.say(404, message="the repository does not exist")
        if repository.tokens is not None and self.token() not in repository.tokens:
            return self.say(403 if self.token() else 401, message="no access to this repository")
        if match[3] in (None, "") or match[3] == "revisions":
            branches = [{"Revision": name} for name in sorted(repository.revisions)]
            return self.say(200, {"Name": match[2], "RevisionMap": {"Branches": branches, "Tags": []}})
        revision = query.get("Revision", "master")
        if revision not in repository.revisions:
            return self.say(404, message=f"the revision {revision} does not exist")
        if match[3] == "repo/files":
            return self.say(200, {"Files": self.entries(repository, query)[:MODELSCOPE_CUT]})
        if match[3] == "repo/tree":
            size, number = int(query.get("PageSize", "200")), int(query.get("PageNumber", "1"))
            entries = self.entries(repository, query)
            return self.say(200, {"Files": entries[(number - 1) * size:number * size], "TotalCount": len(entries)})
        name = query.get("FilePath", "")
        if match[3] != "repo" or name not in repository.files or name in self.hub.faults.missing:
            return self.say(404, message=f"{name} does not exist")
        if name in repository.large:
            return self.answer(302, b"", {"Location": self.hub.address_of(repository.sha256[name]),
                                          "X-Linked-ETag": repository.sha256[name]})
        return self.send_content(repository.files[name], {"Content-Type": "application/octet-stream"}, ranges=False)

    def entries(self, repository, query):
        root = query.get("Root", "").strip("/")
        below = root + "/" if root else ""
        entries, folders = [], set()
        for name in sorted(repository.files):
            if not name.startswith(below):
                continue
            parts = name[len(below):].split("/")
            for depth in range(1, len(parts)):
                folders.add((below + "/".join(parts[:depth]), depth))
            if query.get("Recursive") == "True" or len(parts) == 1:
                entries.append({"Path": name, "Name": parts[-1], "Type": "blob", "Sha256": repository.sha256[name],
                                "Size": len(repository.files[name]) + self.hub.faults.lies_about_size, "Revision": "master"})
        for folder, depth in sorted(folders):
            if query.get("Recursive") == "True" or depth == 1:
                entries.append({"Path": folder, "Name": folder.rpartition("/")[2], "Type": "tree", "Size": 0, "Sha256": ""})
        return entries
