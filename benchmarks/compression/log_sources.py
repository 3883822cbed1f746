"""Logs of real programs, made here: each source runs a program and hands back what it wrote.

Every program gets a folder of its own, a seed, a time limit, and at most the loopback network. A
source whose program is absent or does not work here is skipped and said.
"""

# ruff: noqa: E501 (programs and their command lines stand as they are written)

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LIMIT_S: Final = 120.0
"""Seconds that one program may run."""
TAG: Final = re.compile(r" ?<kind:([a-z_]+)>")
"""How programs of ours name the kind of each message; taken out before the log is compressed."""


class Absent(Exception):
    """The program is not on this machine, or does not work here."""


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Absent(f"{program} is not installed")


def run(
    *command: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    stdin: str | None = None,
) -> str:
    """What the program wrote on both streams, whatever it returned."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=(stdin or "").encode(),
            timeout=LIMIT_S,
            check=False,
            user=user,
        )
    except subprocess.TimeoutExpired as late:
        raise Absent(f"{command[0]} took more than {LIMIT_S:.0f} s") from late
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def serving(
    *command: str, cwd: Path, port: int, env: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """A server that listens on loopback while the block runs; yields the file of its log."""
    log = cwd / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, cwd=cwd, stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )
        try:
            _wait_for(port, server)
            yield log
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise Absent("the server did not come up")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def requests(port: int, rng: random.Random, paths: Sequence[str], count: int) -> None:
    """Raw HTTP requests of several kinds, one connection each; answers are thrown away."""
    verbs = ("GET", "GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT")
    for _ in range(count):
        path = rng.choice(paths).replace("{n}", str(rng.randrange(10_000)))
        body = "x=1" if rng.random() < 0.3 else ""
        request = (
            f"{rng.choice(verbs)} {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        )
        if rng.random() < 0.02:
            request = "NONSENSE\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request.encode())
            while connection.recv(65536):
                pass


# -- package managers ----------------------------------------------------------------------------


def pip_wheels(folder: Path, seed: int) -> str:
    """pip installing forty small wheels with dependencies, very verbose; two cannot be met."""
    rng = random.Random(seed)
    wheels = folder / "wheels"
    wheels.mkdir()
    firsts = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron")
    seconds = ("indigo", "jasper", "kelp", "lotus", "maple")
    names = [f"{a}-{b}" for a in firsts for b in seconds]
    for i, name in enumerate(names):
        needs = [rng.choice(names[:i]) for _ in range(rng.randrange(3))] if i else []
        _wheel(wheels, name, f"{rng.randrange(4)}.{rng.randrange(20)}.{rng.randrange(9)}", needs)
    _wheel(wheels, "broken-one", "1.0.0", ["does-not-exist>=2"])
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-color")
    offline = ("--no-index", "--find-links", str(wheels))
    parts = [
        run(*pip, "install", "-vv", *offline, "--target", "t", *names, cwd=folder),
        run(*pip, "install", "-v", *offline, "--target", "u", "broken-one", cwd=folder),
        run(*pip, "download", "-v", *offline, "-d", "d", *names[-20:], cwd=folder),
    ]
    if "No module named pip" in parts[0]:
        raise Absent("pip is not installed")
    return "".join(parts)


def _wheel(folder: Path, name: str, version: str, needs: Sequence[str]) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {need}\n" for need in needs
    )
    files = {
        f"{name.replace('-', '_')}.py": "VALUE = 1\n",
        f"{info}/METADATA": meta,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


REGISTRY: Final = r"""
import http.server, io, json, sys, tarfile, base64, hashlib, random
port, seed = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
names = [a + "-" + b for a in "async fast tiny deep node safe".split()
         for b in "walk parse merge stream glob queue color retry".split()]
packs, balls = {}, {}
for i, name in enumerate(names):
    deps = {rng.choice(names[:i]): "^1.0.0" for _ in range(rng.randrange(3))} if i else {}
    if i == 30: deps["not-there"] = "^3.0.0"
    version = f"1.{rng.randrange(9)}.{rng.randrange(9)}"
    manifest = {"name": name, "version": version, "dependencies": deps}
    if i % 7 == 3: manifest["deprecated"] = "no longer supported, use another"
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        data = json.dumps(manifest).encode()
        item = tarfile.TarInfo("package/package.json"); item.size = len(data)
        tar.addfile(item, io.BytesIO(data))
    ball = f"/{name}/-/{name}-{version}.tgz"
    balls[ball] = raw.getvalue()
    manifest = dict(manifest, dist={"tarball": f"http://127.0.0.1:{port}{ball}",
        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(raw.getvalue()).digest()).decode()})
    packs["/" + name] = {"name": name, "dist-tags": {"latest": version}, "versions": {version: manifest}}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = balls.get(self.path) or (json.dumps(packs[self.path]).encode() if self.path in packs else b"{}")
        self.send_response(200 if len(body) > 2 else 404)
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def npm_install(folder: Path, seed: int) -> str:
    """npm, silly verbose, against a registry of 48 made-up packages on loopback."""
    need("npm")
    port = free_port()
    (folder / "registry.py").write_text(REGISTRY)
    names = [
        f"{a}-{b}" for a in ("async", "fast", "tiny") for b in ("walk", "merge", "glob", "retry")
    ]
    (folder / "package.json").write_text(
        '{"name": "root", "version": "1.0.0", "dependencies": {'
        + ", ".join(f'"{n}": "^1.0.0"' for n in names)
        + "}}"
    )
    flags = (
        "--loglevel",
        "silly",
        "--no-audit",
        "--no-fund",
        "--cache",
        str(folder / "cache"),
        "--registry",
        f"http://127.0.0.1:{port}/",
        "--fetch-retries",
        "0",
        "--no-update-notifier",
        "--color",
        "always",
    )
    with serving(sys.executable, "registry.py", str(port), str(seed), cwd=folder, port=port):
        parts = [run("npm", "install", *flags, cwd=folder)]
        parts.append(
            run("npm", "install", *flags, "safe-glob", "deep-color", "node-queue", cwd=folder)
        )
        parts.append(run("npm", "ls", "--all", *flags, cwd=folder))
        parts.append(run("npm", "install", *flags, "nowhere-to-be-found", cwd=folder))
    return "".join(parts)


def dpkg_log(folder: Path, seed: int) -> str:
    """The tail of this machine's own dpkg log."""
    path = Path("/var/log/dpkg.log")
    if not path.exists() or path.stat().st_size < 10_000:
        raise Absent("/var/log/dpkg.log is not there or short")
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-1600:]) + "\n"


def apt_solver(folder: Path, seed: int) -> str:
    """apt-get's simulated installation with its resolver's debug output."""
    need("apt-get")
    log = run(
        "apt-get",
        "-s",
        "-o",
        "Debug::pkgProblemResolver=1",
        "-o",
        "Debug::pkgDepCache=1",
        "-o",
        "Debug::pkgDepCache::Marker=1",
        "install",
        "nginx",
        "redis-server",
        "no-such-package-here",
        cwd=folder,
    )
    log += run(
        "apt-get",
        "-s",
        "-o",
        "Debug::pkgDepCache::Marker=1",
        "-o",
        "Debug::pkgDepCache::AutoInstall=1",
        "install",
        "nginx",
        "redis",
        cwd=folder,
    )
    if len(log.splitlines()) < 100:
        raise Absent("no package lists for apt-get to read")
    return "\n".join(log.splitlines()[:1200]) + "\n"


# -- builds and tests ------------------------------------------------------------------------------


def pytest_verbose(folder: Path, seed: int) -> str:
    """pytest -v with parameters, failures, errors, warnings and live logging."""
    (folder / "test_orders.py").write_text(
        textwrap.dedent("""
        import logging, warnings, pytest
        log = logging.getLogger("orders")
        @pytest.mark.parametrize("n", range(150))
        def test_total(n):
            log.info("computing total of order %d with %d lines", n, n % 7)
            log.debug("rounding mode half-even, cents %d", n * 37 % 100)
            if n % 40 == 13:
                warnings.warn(f"deprecated rounding for order {n}")
            assert n % 50 != 17, f"order {n} is off by {n * 3}"
        @pytest.fixture
        def broken():
            raise ConnectionError("no database at port 5432")
        @pytest.mark.parametrize("name", ["alpha", "beta", "gamma", "delta"])
        class TestStock:
            def test_reserve(self, name):
                log.info("reserved %s", name)
            def test_release(self, name):
                assert {"alpha": 1, "beta": 2}[name]
            def test_db(self, name, broken):
                pass
            @pytest.mark.skip(reason="slow on this machine")
            def test_slow(self, name):
                pass
        """)
    )
    pytest = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=yes")
    log = run(*pytest, "-v", "test_orders.py", cwd=folder)
    log += run(
        *pytest, "-v", "--log-cli-level=DEBUG", "-k", "total or Stock", "test_orders.py", cwd=folder
    )
    if "test session starts" not in log:
        raise Absent("pytest is not installed")
    return log


def make_gcc(folder: Path, seed: int) -> str:
    """make -k over sixty C files, some with warnings, two that do not compile."""
    need("make", "gcc")
    rng = random.Random(seed)
    for i in range(60):
        kind = rng.choice(
            (
                "clean",
                "clean",
                "clean",
                "clean",
                "unused",
                "sign",
                "error" if i % 17 == 0 else "clean",
            )
        )
        body = {
            "clean": "return a + 1;",
            "unused": "int spare = 3; return a;",
            "sign": "unsigned b = 2; return a < b;",
            "error": "return missing_name + a;",
        }[kind]
        (folder / f"unit_{i}.c").write_text(f"int f{i}(int a) {{ {body} }}\n")
    (folder / "Makefile").write_text(
        "OBJ := $(patsubst %.c,%.o,$(sort $(wildcard *.c)))\n"
        "all: lib.a\nlib.a: $(OBJ)\n\tar rcs $@ $^\n"
        "%.o: %.c\n\tgcc -Wall -Wextra -O1 -Iinclude -DNDEBUG -fPIC -c $< -o $@\n"
    )
    return run("make", "-k", "-j2", cwd=folder) + run(
        "make", "-k", "-d", "unit_1.o", "unit_2.o", cwd=folder
    )


def cmake_ninja(folder: Path, seed: int) -> str:
    """cmake's configuration and a verbose build of eighty C++ files."""
    need("cmake", "ninja", "g++")
    names = [f"part_{i}.cpp" for i in range(80)]
    for i, name in enumerate(names):
        unused = "int unused_local;" if i % 25 == 4 else ""
        (folder / name).write_text(f"int part{i}() {{ {unused} return {i}; }}\n")
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(parts CXX)\n"
        "include(CheckCXXSourceCompiles)\ninclude(CheckIncludeFileCXX)\n"
        + "".join(
            f"check_include_file_cxx({h} HAVE_{h.upper()})\n"
            for h in ("vector", "map", "format", "nothere", "print", "span")
        )
        + "add_compile_options(-Wall)\nadd_library(parts STATIC "
        + " ".join(names)
        + ")\n"
    )
    log = run("cmake", "-G", "Ninja", "-S", ".", "-B", "build", "--log-level=DEBUG", cwd=folder)
    return log + run("ninja", "-C", "build", "-v", cwd=folder)


def cargo_build(folder: Path, seed: int) -> str:
    """cargo -v over a workspace of forty crates with warnings and one that fails."""
    need("cargo")
    members = [f"crate_{i}" for i in range(40)]
    (folder / "Cargo.toml").write_text(
        f'[workspace]\nresolver = "2"\nmembers = [{", ".join(repr(m) for m in members)}]\n'.replace(
            "'", '"'
        )
    )
    for i, member in enumerate(members):
        (folder / member / "src").mkdir(parents=True)
        (folder / member / "Cargo.toml").write_text(
            f'[package]\nname = "{member}"\nversion = "0.{i}.1"\nedition = "2021"\n'
        )
        (folder / member / "src" / "lib.rs").write_text(
            f"pub fn f() -> u32 {{ {'let spare = 1;' if i % 9 == 2 else ''} "
            f"{'missing()' if i == 33 else i} }}\n"
        )
    log = run("cargo", "build", "-v", "--offline", "--keep-going", "--color", "always", cwd=folder)
    if "Compiling" not in log:
        raise Absent("cargo cannot build offline here")
    return log


def javac_verbose(folder: Path, seed: int) -> str:
    """javac -verbose, and a JVM with unified logging of classes, threads and its collector."""
    need("java", "javac")
    (folder / "Work.java").write_text(
        textwrap.dedent("""
        import java.util.*;
        public class Work {
            public static void main(String[] a) {
                List<byte[]> kept = new ArrayList<>();
                for (int i = 0; i < 4000; i++) {
                    kept.add(new byte[20000]);
                    if (kept.size() > 300) kept.subList(0, 150).clear();
                    if (i % 1000 == 777) try { Object o = List.of(1).get(i); }
                        catch (RuntimeException e) { new IllegalStateException("batch " + i, e).printStackTrace(); }
                }
            }
        }""")
    )
    log = run("javac", "-verbose", "Work.java", cwd=folder)
    return (
        log
        + run(
            "java",
            "-Xmx24m",
            "-Xlog:gc*=info,safepoint=info,class+load=info:stdout:time,level,tags",
            "Work",
            cwd=folder,
        )[:180_000]
    )


# -- servers ---------------------------------------------------------------------------------------


def http_server(folder: Path, seed: int) -> str:
    """python -m http.server under 900 requests of many kinds."""
    for name in ("index.html", "about.html", "app.js", "style.css"):
        (folder / name).write_text("x")
    (folder / "img").mkdir()
    paths = (
        "/",
        "/index.html",
        "/about.html",
        "/app.js?v={n}",
        "/style.css",
        "/img/",
        "/img",
        "/missing/{n}",
        "/api/users/{n}",
        "/../etc/{n}",
    )
    port = free_port()
    command = (sys.executable, "-u", "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with serving(*command, cwd=folder, port=port) as log:
        requests(port, random.Random(seed), paths, 900)
    return log.read_text("utf-8", "replace")


UVICORN: Final = """
import asyncio, logging
logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)-7s %(name)s[%(process)d] %(message)s")
log = logging.getLogger("shop.api")
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    path = scope["path"]
    log.debug("routing %s %s", scope["method"], path)
    if path.startswith("/orders/"):
        number = int(path.rsplit("/", 1)[1])
        log.info("order %d loaded in %.1f ms from replica-%d", number, number % 90 / 7, number % 3)
        if number % 41 == 0:
            raise KeyError(f"order {number} has no customer")
        if number % 13 == 0:
            log.warning("slow query for order %d: %.2f s", number, number % 50 / 9)
    elif path.startswith("/search"):
        log.info("search for %r gave %d hits", scope["query_string"].decode(), len(path) * 7)
    await send({"type": "http.response.start", "status": 404 if path == "/none" else 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def uvicorn_app(folder: Path, seed: int) -> str:
    """uvicorn with an application that logs, warns and sometimes raises."""
    (folder / "app.py").write_text(UVICORN)
    if run(sys.executable, "-c", "import uvicorn", cwd=folder):
        raise Absent("uvicorn is not installed")
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--no-use-colors")
    paths = ("/orders/{n}", "/orders/{n}", "/search?q=shoes", "/search?q=hats", "/none", "/health")
    with serving(*command, cwd=folder, port=port) as log:
        requests(port, random.Random(seed), paths, 500)
    return log.read_text("utf-8", "replace")


def postgres(folder: Path, seed: int) -> str:
    """PostgreSQL that logs connections, every statement and its duration, with errors."""
    need("initdb", "postgres", "psql")
    user = _postgres_user()
    if user is not None:
        os.chown(folder, user, -1)
        for parent in folder.parents:
            if parent.stat().st_uid == os.getuid() and parent != Path(parent.anchor):
                parent.chmod(parent.stat().st_mode | 0o011)
    data, port = folder / "data", free_port()
    run("initdb", "-D", str(data), "-U", "bench", "--auth=trust", cwd=folder, user=user)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "log_statement": "all",
        "log_duration": "on",
        "log_connections": "on",
        "log_disconnections": "on",
        "log_checkpoints": "on",
        "log_lock_waits": "on",
        "log_line_prefix": "%m [%p] %q%u@%d ",
    }
    flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    log = folder / "postgres.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            ["postgres", "-D", str(data), *flags], cwd=folder, stdout=out, stderr=out, user=user
        )
        try:
            _wait_for(port, server)
            psql = ("psql", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "-d", "postgres")
            for script in _sql(random.Random(seed)):
                run(*psql, cwd=folder, stdin=script)
        finally:
            server.terminate()
            server.wait(30)
    return log.read_text("utf-8", "replace")


def _postgres_user() -> int | None:
    """PostgreSQL will not run as root: who else may run it."""
    if os.getuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise Absent("PostgreSQL will not run as root, and there is no other user")


def _sql(rng: random.Random) -> list[str]:
    scripts = [
        "CREATE TABLE item (id int primary key, name text, price numeric);\n"
        "CREATE TABLE sale (id serial, item int references item, at timestamp);"
    ]
    for _ in range(25):
        lines = []
        for _ in range(14):
            n = rng.randrange(400)
            lines.append(
                rng.choice(
                    (
                        f"INSERT INTO item VALUES ({n}, 'item {n}', {n}.50);",
                        f"SELECT name, price FROM item WHERE id = {n};",
                        f"SELECT name, price FROM item WHERE id = {n};",
                        f"UPDATE item SET price = price + {n % 9} WHERE id = {n};",
                        f"INSERT INTO sale (item, at) VALUES ({n}, now());",
                        "SELECT count(*) FROM sale\n  JOIN item ON item.id = sale.item\n  GROUP BY item.name;",
                        f"SELECT nothing FROM nowhere WHERE id = {n};",
                        f"DELETE FROM sale WHERE item = {n};",
                    )
                )
            )
        scripts.append("\n".join(lines))
    return scripts


# -- tools -----------------------------------------------------------------------------------------


def git_trace(folder: Path, seed: int) -> str:
    """git with its traces on: commits, a clone, a fetch, a repack, and commands that fail."""
    need("git")
    trace = {
        "GIT_TRACE": "1",
        "GIT_TRACE_SETUP": "1",
        "GIT_TRACE_PERFORMANCE": "1",
        "GIT_TRACE_PACKET": "1",
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
    parts = [run("git", "init", "one", cwd=folder, env=trace)]
    one = folder / "one"
    for i in range(8):
        (one / f"file{i}.txt").write_text(f"{seed}{i}\n" * 20)
        parts.append(run("git", "add", ".", cwd=one, env=trace))
        parts.append(run("git", "commit", "-m", f"change {i}", cwd=one, env=trace))
        run("git", "branch", f"topic-{i}", cwd=one, env=trace)
    parts.append(run("git", "clone", "--no-local", "one", "two", cwd=folder, env=trace))
    parts.append(run("git", "checkout", "no-such-branch", cwd=one, env=trace))
    parts.append(run("git", "fetch", "--progress", "../one", cwd=folder / "two", env=trace))
    parts.append(run("git", "gc", cwd=one, env=trace))
    parts.append(run("git", "push", "nowhere", "main", cwd=one, env=trace))
    return "".join(parts)


def ssh_curl(folder: Path, seed: int) -> str:
    """curl -v over a loopback server, with progress bars, and ssh -vvv to a closed port."""
    need("curl")
    port = free_port()
    (folder / "big.bin").write_bytes(b"x" * 3_000_000)
    parts = []
    command = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with serving(*command, cwd=folder, port=port):
        for i in range(30):
            path = ("big.bin", "big.bin", "none.txt", "")[i % 4]
            flags = ("--trace-time",) if i % 3 else ("--limit-rate", "9M")
            parts.append(
                run(
                    "curl",
                    "-v",
                    *flags,
                    "-o",
                    "out.bin",
                    f"http://127.0.0.1:{port}/{path}",
                    cwd=folder,
                )
            )
    parts.append(run("curl", "-v", f"http://127.0.0.1:{free_port()}/", cwd=folder))
    if shutil.which("ssh"):
        parts.extend(
            run(
                "ssh",
                "-vvv",
                "-o",
                "BatchMode=yes",
                "-p",
                str(free_port()),
                "127.0.0.1",
                cwd=folder,
            )
            for _ in range(3)
        )
    return "".join(parts)


def strace_program(folder: Path, seed: int) -> str:
    """strace of a small program."""
    need("strace")
    log = run("strace", "-f", "-tt", sys.executable, "-S", "-c", "import json, decimal", cwd=folder)
    if "openat" not in log:
        raise Absent("strace may not trace here")
    return "\n".join(log.splitlines()[:1200]) + "\n"


def python_imports(folder: Path, seed: int) -> str:
    """Python's own trace of its imports."""
    return run(sys.executable, "-v", "-c", "import json, asyncio, unittest", cwd=folder)


WORKER: Final = r"""
import json, logging, random, sys, threading, time
rng = random.Random(int(sys.argv[1])); style = sys.argv[2]
class Lines(logging.Formatter):
    def format(self, record):
        kind = f" <kind:{record.kind}>"
        if style == "json":
            row = {"ts": round(record.created, 3), "level": record.levelname.lower(), "logger": record.name,
                   "thread": record.threadName, "msg": record.getMessage(), "pid": record.process}
            if record.exc_info: row["exc"] = self.formatException(record.exc_info)
            return json.dumps(row) + kind
        if style == "syslog":
            at = time.strftime("%b %e %H:%M:%S", time.gmtime(record.created))
            return f"{at} host-7 {record.name}[{record.process}]: {record.getMessage()}{kind}"
        text = super().format(record)
        first, *rest = text.split("\n")
        return "\n".join([first + kind, *rest])
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(Lines("%(asctime)s %(levelname)s [%(threadName)s] %(name)s: %(message)s"))
logging.basicConfig(level=logging.DEBUG, handlers=[handler])
users = ["alice", "bob", "carol", "dave", "erin", "frank"]
def say(log, level, kind, text, *args, **more): log.log(level, text, *args, extra={"kind": kind}, **more)
def work(name):
    rng = random.Random(f"{sys.argv[1]}-{name}")
    log = logging.getLogger(f"shop.{name}")
    say(log, 20, "start", "worker %s started with queue depth %d", name, rng.randrange(90))
    for _ in range(130):
        job, user, pick = rng.randrange(10**6), rng.choice(users), rng.random()
        say(log, 10, "dequeue", "dequeued job %d after %.1f ms", job, rng.random() * 40)
        if pick < .35: say(log, 20, "done", "job %d finished in %.3f s for user %s", job, rng.random() * 3, user)
        elif pick < .5: say(log, 20, "cache", "cache miss for key session:%08x, loading from replica-%d", rng.getrandbits(32), rng.randrange(4))
        elif pick < .6: say(log, 20, "mail", "sent mail to %s@example.org with template %s", user, rng.choice(["welcome", "invoice", "reminder"]))
        elif pick < .7: say(log, 10, "pool", "connection pool size=%d idle=%d waiting=%d", rng.randrange(20), rng.randrange(9), rng.randrange(5))
        elif pick < .78: say(log, 20, "upload", "stored /var/data/%s/%d.bin (%d bytes)", user, job, rng.randrange(10**7))
        elif pick < .81: say(log, 30, "retry", "job %d: attempt %d timed out after %d s, retrying", job, rng.randrange(1, 4), 30)
        elif pick < .825:
            try: {}[user]
            except KeyError: say(log, 40, "crash", "job %d crashed", job, exc_info=True)
        elif pick < .83: say(log, 40, "disk", "cannot write block %d: disk quota exceeded", job)
        elif pick < .86: say(log, 20, "page", "paged %s about ticket %d", user, rng.randrange(999))
        else: say(log, 10, "beat", "heartbeat ok")
        if rng.random() < .02: say(log, 20, "gc", "collected %d objects, generation %d", rng.randrange(9999), rng.randrange(3))
    say(log, 20, "stop", "worker %s stopped", name)
threads = [threading.Thread(target=work, args=(n,), name=f"T-{i}") for i, n in enumerate(["orders", "mail", "index", "thumbs"])]
[t.start() for t in threads]; [t.join() for t in threads]
"""


def worker(style: str) -> Callable[[Path, int], str]:
    """Four threads that log through `logging`; every message carries the name of its kind."""

    def make(folder: Path, seed: int) -> str:
        (folder / "worker.py").write_text(WORKER)
        return run(sys.executable, "worker.py", str(seed), style, cwd=folder)

    make.__doc__ = f"{worker.__doc__} As {style} lines."
    return make


SOURCES: Final[Mapping[str, Callable[[Path, int], str]]] = {
    "pip": pip_wheels,
    "npm": npm_install,
    "dpkg": dpkg_log,
    "apt": apt_solver,
    "pytest": pytest_verbose,
    "make": make_gcc,
    "cmake": cmake_ninja,
    "cargo": cargo_build,
    "java": javac_verbose,
    "http.server": http_server,
    "uvicorn": uvicorn_app,
    "postgres": postgres,
    "git": git_trace,
    "curl+ssh": ssh_curl,
    "strace": strace_program,
    "python -v": python_imports,
    "worker": worker("text"),
    "worker json": worker("json"),
    "worker syslog": worker("syslog"),
}
