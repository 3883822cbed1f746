"""Every example of routing and compression is run, against a provider on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from frugal_chains import Ledger
from tests.servers import Reply, Request, ScriptedServer, Tokens, ToolCall

EXAMPLES = Path(__file__).parents[2] / "examples"


FRAMEWORKS = {
    "langchain": "import langchain.agents, langchain_openai, openai.resources",
    "llama_index": (  # which tries LangChain's models where those are installed
        "import langchain_core.language_models.chat_models, llama_index.core\n"
        "import llama_index.llms.openai, openai.resources"
    ),
    "": "",
}
"""Imports on which the examples of each spend most of their time."""
STARTER = """
import gc, json, os, runpy, sys, threading
assert threading.active_count() == 1
gc.freeze()
for line in sys.stdin:
    script, folder, environment = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(environment)
        for number, name in ((0, os.devnull), (1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
        sys.argv, sys.path[0] = [script], os.path.dirname(script)
        runpy.run_path(script, run_name="__main__")
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


STARTED: dict[str, subprocess.Popen[str]] = {}


@pytest.fixture(scope="module", autouse=True)
def _starters() -> Iterator[None]:
    yield
    for started in STARTED.values():
        with started:  # waits until it has ended, which it does at the end of its input
            pass
    STARTED.clear()


def starter(framework: str) -> subprocess.Popen[str]:
    """A process that has imported a framework, and runs every script in a process of its own.

    Nothing of this library is in it: each script imports that itself.
    """
    if framework not in STARTED:
        STARTED[framework] = subprocess.Popen(
            [sys.executable, "-c", FRAMEWORKS[framework] + STARTER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    return STARTED[framework]


def run(name: str, folder: Path, scripted: ScriptedServer) -> str:
    environment = {
        "OPENAI_API_KEY": "test",
        "OPENAI_BASE_URL": scripted.openai_base_url,
        "OPENAI_API_BASE": scripted.openai_base_url,
        "FRUGAL_LEDGER": f"sqlite:///{folder}/frugal.db",
    }
    script = EXAMPLES / name
    text = script.read_text(encoding="utf-8")
    framework = next((each for each in FRAMEWORKS if f"from {each}" in text), "")
    process = starter(framework)
    assert process.stdin is not None
    assert process.stdout is not None
    print(json.dumps([str(script), str(folder), environment]), file=process.stdin, flush=True)
    assert process.stdout.readline() == "0\n", (folder / "stderr").read_text(encoding="utf-8")
    return (folder / "stdout").read_text(encoding="utf-8")


def rows(folder: Path) -> list[tuple[str, str, str]]:
    """Model, status and reason of every attempt."""
    with Ledger.open(f"sqlite:///{folder}/frugal.db", read_only=True) as ledger:
        return [
            (row.model, row.status, dict(row.decision or {}).get("routing", {}).get("reason", ""))
            for row in ledger.attempts()
        ]


def test_routed_chain(scripted: ScriptedServer, tmp_path: Path) -> None:
    scripted.always(Reply("Because of the air.", usage=Tokens(fresh=30, visible=5)))
    said = run("routed_chain.py", tmp_path, scripted)
    assert "-> We are open from 9 to 5." in said
    assert "rule 'contracts': the question has 'contract'" in said
    assert [row[0] for row in rows(tmp_path)] == [
        "canned:hours", "gpt-4.1-nano", "gpt-4.1-mini", "gpt-4.1",
    ]  # fmt: skip
    assert [row[1] for row in rows(tmp_path)] == ["cached", "ok", "ok", "ok"]
    assert [row[2] for row in rows(tmp_path)][1:] == ["default", "rule:code", "rule:contracts"]


def test_routed_agent(scripted: ScriptedServer, tmp_path: Path) -> None:
    call = Reply("", tool_calls=(ToolCall("stock", {"item": "pen"}),))

    def answer(request: Request) -> Reply:
        called = any(message["role"] == "tool" for message in request.body["messages"])
        return Reply("Twelve.", usage=Tokens(fresh=60, visible=2)) if called else call

    scripted.always(answer)
    said = run("routed_agent.py", tmp_path, scripted)
    assert said.count("Twelve.") == 2
    models = [row[0] for row in rows(tmp_path)]
    assert models == ["gpt-4.1-nano"] * 2 + ["gpt-4.1"] * 2


def test_routed_query_engine(scripted: ScriptedServer, tmp_path: Path) -> None:
    scripted.always(Reply("Twenty minutes.", usage=Tokens(fresh=90, visible=3)))
    assert "Twenty minutes." in run("routed_query_engine.py", tmp_path, scripted)
    assert rows(tmp_path) == [("gpt-4.1-nano", "ok", "default")]


def test_compressed_rag_chain(scripted: ScriptedServer, tmp_path: Path) -> None:
    needed = {"E7": "wait for 30 minutes", "descaling": "takes 25 minutes"}

    def cites(request: Request) -> Reply:
        context, question = (message["content"] for message in request.body["messages"])
        (fact,) = (fact for word, fact in needed.items() if word in question)
        (source,) = (part for part in context.split("\n\n")[1:] if fact in part)
        return Reply(f"{fact} {source[:3]}", usage=Tokens(fresh=150, visible=9))

    scripted.always(cites)
    said = run("compressed_rag_chain.py", tmp_path, scripted)
    for fact, title in zip(needed.values(), ("Error codes", "Descaling"), strict=True):
        (cited,) = (line.split()[-1] for line in said.splitlines() if fact in line)
        assert f"  {cited} {title}, page" in said
    with Ledger.open(f"sqlite:///{tmp_path}/frugal.db", read_only=True) as ledger:
        effects = [*ledger.effects(lever="compression.extract")]
        operations = [attempt.operation_id for attempt in ledger.attempts()]
    assert [effect.operation_id for effect in effects] == operations
    assert all(effect.tokens_after <= 120 < 300 < effect.tokens_before for effect in effects)


def test_compressed_query_engine(scripted: ScriptedServer, tmp_path: Path) -> None:
    needed = {"green lentils": "Green lentils want twenty minutes", "soaked": "Soak them overnight"}

    def cites(request: Request) -> Reply:
        context, question = request.body["messages"][-1]["content"].split("------")[1:]
        (fact,) = (fact for word, fact in needed.items() if word in question)
        numbers = [
            line.split()[1] for line in context.split(fact)[0].splitlines() if "Source" in line
        ]
        return Reply(f"{fact} [{numbers[-1].rstrip(':')}]", usage=Tokens(fresh=150, visible=9))

    scripted.always(cites)
    said = run("compressed_query_engine.py", tmp_path, scripted)
    for fact, title in zip(needed.values(), ("Lentils", "Pinto beans"), strict=True):
        (cited,) = (line.split()[-1] for line in said.splitlines() if fact in line)
        after = said.split(fact)[1]  # numbers begin anew for each question
        assert f"  {cited} {title}, page" in after.split("->")[0]
    with Ledger.open(f"sqlite:///{tmp_path}/frugal.db", read_only=True) as ledger:
        effects = [*ledger.effects(lever="compression.extract")]
        operations = {row.operation_id for row in ledger.attempts() if row.model == "gpt-4.1-mini"}
    assert {effect.operation_id for effect in effects} == operations
    assert all(effect.tokens_after <= 120 < 240 < effect.tokens_before for effect in effects)


def test_calibration_from_a_log(scripted: ScriptedServer, tmp_path: Path) -> None:
    said = run("calibrate_from_log.py", tmp_path, scripted)
    assert "Routing is recommended" in said
    assert "large (specialist) answers" in said
    assert (tmp_path / "routing.frugal").exists()


def sizes(scripted: ScriptedServer) -> list[int]:
    """Characters of each chat that reached the provider."""
    return [len(str(request.body)) for request in scripted.requests if "chat" in request.path]


def test_long_chat_agent(scripted: ScriptedServer, tmp_path: Path) -> None:
    scripted.always(Reply("Noted. " * 60, usage=Tokens(fresh=900, visible=120)))
    said = run("long_chat_agent.py", tmp_path, scripted)
    assert "62 messages kept" in said
    assert int(said.split(" summaries stand")[0].split()[-1]) >= 1
    sent = sizes(scripted)
    assert len(sent) == 31
    assert max(sent) < 0.7 * (sent[0] + 30 * (sent[1] - sent[0]))
    assert "found 3 loose bolts" in str(scripted.requests[-1].body)  # picked, or recalled


def test_long_chat_chain(scripted: ScriptedServer, tmp_path: Path) -> None:
    scripted.always(Reply("Logged. " * 60, usage=Tokens(fresh=900, visible=120)))
    said = run("long_chat_chain.py", tmp_path, scripted)
    assert "60 messages in the log" in said
    assert said.count(" tokens") >= 1
    sent = sizes(scripted)
    assert max(sent) < 0.7 * (sent[0] + 29 * (sent[1] - sent[0]))


def test_long_chat_engine(scripted: ScriptedServer, tmp_path: Path) -> None:
    scripted.always(Reply("Booked. " * 60, usage=Tokens(fresh=900, visible=120)))
    said = run("long_chat_engine.py", tmp_path, scripted)
    assert "60 messages kept" in said
    kept, sent_messages = (int(said.split(word)[0].split()[-1]) for word in (" messages", " sent"))
    assert sent_messages < kept / 2
    sent = sizes(scripted)
    assert max(sent) < 0.7 * (sent[0] + 29 * (sent[1] - sent[0]))
