"""Logs: what grouping may never lose, what it must leave alone, and the lossless form."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.compression.shape._logs import group_logs
from frugal_chains.compression.shape._logs_fold import fold_log, unfold_log
from frugal_chains.compression.shape._logs_lines import cleaned
from frugal_chains.compression.shape._logs_result import ShapedLog
from frugal_chains.errors import ShapeError
from tests.own_time import own_seconds


def count(text: str) -> int:
    """A rough tokenizer: words of at most four letters, and signs."""
    return len(re.findall(r"\w{1,4}|[^\w\s]", text))


def grouped(text: str) -> ShapedLog:
    return group_logs(text, count, sure=True)


def output_lines(result: ShapedLog) -> list[str]:
    return result.text.split("\n")[1:]


def stamped(*messages: str, every_s: int = 1) -> str:
    """A log with a time on every line."""
    return "".join(
        f"2026-11-22 08:{i * every_s // 60 % 60:02d}:{i * every_s % 60:02d},123 {message}\n"
        for i, message in enumerate(messages)
    )


# -- what is shown ---------------------------------------------------------------------------------


def test_alike_lines_become_one_with_their_number_their_range_and_their_words() -> None:
    users = ["alice", "bob", "carol", "dave", "erin"]
    log = stamped(*(f"INFO user {users[i % 5]} paid {i + 3} EUR" for i in range(20)))
    result = group_logs(log, count)
    assert output_lines(result) == [
        "2026-11-22 08:00:00,123 INFO user alice paid 3 EUR ×20 "
        "{..19,123; bob carol dave erin; ..22}"
    ]
    assert (result.lines, result.messages, result.lossless) == (20, 1, False)


def test_messages_stand_in_the_order_of_their_first_lines() -> None:
    log = stamped(*["INFO started", "INFO tick 1", "ERROR lost 1", "INFO tick 2", "INFO done"] * 6)
    words = [re.sub(r"^[\d:, -]+", "", line) for line in output_lines(group_logs(log, count))]
    firsts = [word.split()[1] for word in words]
    assert firsts[:3] == ["started", "tick", "lost"]
    assert firsts.index("done") == 3


def test_two_messages_that_differ_in_one_word_are_both_shown() -> None:
    log = stamped(*["INFO connection 7 opened", "INFO connection 7 closed"] * 10)
    assert [line.split(" ×")[0][24:] for line in output_lines(group_logs(log, count))] == [
        "INFO connection 7 opened",
        "INFO connection 7 closed",
    ]


def test_few_distinct_numbers_are_listed_and_hashes_counted() -> None:
    kinds = [f"{0xABCDE123 + 977 * i:08x}" for i in range(12)]
    log = stamped(*(f"INFO port {8000 + i % 2} key 0x{kinds[i]}" for i in range(12)))
    (line,) = output_lines(group_logs(log, count))
    assert line.endswith("×12 {..11,123; 8001; 12 kinds}")


def test_of_many_versions_those_with_new_letters_are_listed() -> None:
    versions = [
        "1.2",
        "2.3-4",
        "1:5-6",
        "7~8",
        "9-1~2",
        "3+deb4u5",
        "1-2-3-4",
        "5+deb6u7-8",
        "6~rc9",
    ]
    log = stamped(*(f"INFO installed tool {version}" for version in versions * 3))
    (line,) = output_lines(group_logs(log, count))
    assert line.endswith("8 kinds 3+deb4u5 6~rc9}")


def test_the_status_of_an_answer_is_part_of_the_message() -> None:
    answers = [200, 404, 200, 503] * 5
    log = "".join(
        f"10.0.0.{i} - - [22/Nov/2026:08:27:{i:02d} +0000] "
        f'"GET /item/{i} HTTP/1.1" {status} {i * 9}\n'
        for i, status in enumerate(answers)
    )
    result = group_logs(log, count)
    lines = output_lines(result)
    assert [line.split('" ')[1][:3] for line in lines[:3]] == ["200", "404", "503"]
    # A server's own fault is a problem: each of the five stays.
    assert sum('" 503 ' in line for line in lines) == 5
    assert len(lines) == 7


def test_a_list_that_comes_again_is_named() -> None:
    hosts = ["amber-lake", "basil-moor", "cedar-hill", "delta-quay", "ember-rock", "fjord-dale"]
    log = stamped(*(f"INFO {verb} {host} now" for host in hosts for verb in ("pinging", "asking")))
    first, second = output_lines(group_logs(log, count))
    assert "§1=" in first
    assert second.endswith("; §1}")
    assert all(host.split("-")[0] in first for host in hosts)


def test_times_are_cut_only_where_asked_and_never_from_problems() -> None:
    log = stamped(*["INFO tick 1", "INFO tock 2", "INFO tack 3", "ERROR lost 4"] * 5)
    plain, cut = group_logs(log, count), group_logs(log, count, cut_times=True)
    assert "…" not in plain.text
    assert "… = 2026-11-22 08:00:" in cut.text.split("\n")[0]
    assert output_lines(cut)[0].startswith("…00,123 INFO tick 1")
    problems = [line for line in log.splitlines() if "ERROR" in line]
    assert set(problems) <= set(output_lines(cut))
    assert cut.tokens_after < plain.tokens_after


def test_progress_that_wrote_over_itself_is_folded_and_colours_are_gone() -> None:
    bar = "\r".join(
        f"\x1b[32mfetching {i:3d}% |{'█' * i}{' ' * (50 - i)}|\x1b[0m" for i in range(50)
    )
    result = grouped(f"{bar}\nfetching done, all stored\n")
    assert "\x1b" not in result.text
    assert "\r" not in result.text
    assert len(output_lines(result)) <= 5
    assert result.lines == 51


# -- problems --------------------------------------------------------------------------------------

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/worker.py", line 37, in work
    price = prices[name]
            ~~~~~~^^^^^^
  File "/srv/app/prices.py", line 9, in __getitem__
    raise KeyError(name)
KeyError: 'pear {n}'"""


def test_tracebacks_stay_whole_and_their_shared_frames_are_shown_once() -> None:
    lines = []
    for i in range(12):
        lines.append(f"2026-11-22 08:00:{i:02d} INFO sold {i}")
        if i % 3 == 0:
            lines.append(f"2026-11-22 08:00:{i:02d} ERROR cannot sell {i}")
            lines.append(TRACEBACK.replace("{n}", str(i)))
    log = "\n".join(lines)
    result = group_logs(log, count)
    shown = output_lines(result)
    for i in (0, 3, 6, 9):
        assert f"2026-11-22 08:00:{i:02d} ERROR cannot sell {i}" in shown
        assert f"KeyError: 'pear {i}'" in shown
    for frame in TRACEBACK.split("\n")[:-1]:
        assert shown.count(frame) == 1
    assert sum("[frames 1" in line for line in shown) == 4


def test_a_problem_repeated_word_for_word_is_shown_once_with_its_number() -> None:
    log = "INFO tick\n" * 10 + "WARN disk is nearly full\n" * 7 + "INFO tock\n" * 10
    assert "WARN disk is nearly full ×7" in output_lines(group_logs(log, count))


COMPILER = """gcc -c unit_{i}.c -o unit_{i}.o
unit_{i}.c:{i}:12: warning: unused variable 'spare' [-Wunused-variable]
    {i} |   int spare = 3;
      |       ^~~~~
"""


def test_a_message_without_a_time_keeps_the_indented_lines_under_it() -> None:
    log = "".join(COMPILER.replace("{i}", str(i)) for i in range(10, 30))
    log += "".join(f"gcc -c part_{i}.c -o part_{i}.o\n" for i in range(100))
    shown = output_lines(grouped(log))
    for i in range(10, 30):
        at = shown.index(f"unit_{i}.c:{i}:12: warning: unused variable 'spare' [-Wunused-variable]")
        assert shown[at + 1] == f"    {i} |   int spare = 3;"


def test_fields_that_say_there_was_no_error_are_no_problem() -> None:
    log = "".join(
        f'{{"time": "2026-11-22T08:00:{i:02d}Z", "level": "info", '
        f'"msg": "paid {i}", "error": null}}\n'
        for i in range(30)
    )
    assert group_logs(log, count).messages == 1
    assert group_logs(log.replace("null", '"lost"'), count).form == "original"


# -- properties ------------------------------------------------------------------------------------

WORDS = ["started", "stopped", "cache", "miss", "for", "user", "job", "took", "ms", "alpha", "beta"]
BAD = ["error", "Exception:", "FATAL", "failed", "warning:", "Traceback", "panic"]
values = st.one_of(
    st.integers(0, 10**6).map(str),
    st.sampled_from(
        ["10.0.0.7", "0x7f3a", "/var/log/app.log", "x=3", "a-b", "12ms", "'bob'", "{", ""]
    ),
)
plain_lines = st.lists(st.one_of(st.sampled_from(WORDS), values), max_size=7).map(" ".join)
bad_lines = st.tuples(plain_lines, st.sampled_from(BAD), plain_lines).map(" ".join)
heads = st.sampled_from(["", "08:00:01 INFO ", "2026-11-22 08:00:01,5 DEBUG [T-1] ", "  "])
lines_of_logs = st.tuples(heads, st.one_of(plain_lines, bad_lines)).map("".join)
logs = st.lists(lines_of_logs, max_size=60).flatmap(
    lambda lines: st.lists(st.sampled_from(lines or [""]), max_size=60).map("\n".join)
)
any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)


@settings(max_examples=50)
@given(logs)
def test_every_problem_line_stands_word_for_word(log: str) -> None:
    result = grouped(log)
    shown = result.text.split("\n")
    bare = {re.sub(r" ×\d+$", "", line) for line in shown} | set(shown)
    for line in log.split("\n"):
        if re.search("|".join(BAD), line, re.IGNORECASE):
            assert line in bare


@settings(max_examples=50)
@given(logs)
def test_no_word_of_any_line_is_lost(log: str) -> None:
    shown = set(re.findall(r"[^\W\d_]+", grouped(log).text))
    assert set(re.findall(r"[^\W\d_]{2,}", log)) <= shown


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([f"08:00:01 INFO {a} {b}" for a in WORDS for b in WORDS]), min_size=30)
)
def test_the_numbers_add_up_to_the_lines(lines: list[str]) -> None:
    result = grouped("\n".join(lines))
    if result.form == "grouped_log":
        shown = output_lines(result)
        counts = [int(m[1]) if (m := re.search(r" ×(\d+)( \{|$)", line)) else 1 for line in shown]
        assert sum(counts) == len(lines) == result.lines
        assert len(shown) == result.messages


@settings(max_examples=50)
@given(st.one_of(logs, any_text))
def test_never_longer_and_the_same_again(text: str) -> None:
    once = group_logs(text, count)
    assert once.tokens_after == count(once.text) <= count(text) == once.tokens_before
    assert once == group_logs(text, count)
    assert once.text is text or once.form == "grouped_log"
    if once.form == "grouped_log":
        assert group_logs(once.text, count).text == once.text


@settings(max_examples=50)
@given(st.one_of(logs, any_text))
def test_folding_gives_back_every_byte(text: str) -> None:
    result = fold_log(text, count)
    assert result.tokens_after == count(result.text) <= count(text)
    back = unfold_log(result.text) if result.form == "folded_log" else result.text
    assert back == text


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(WORDS), values, values), min_size=10))
def test_folding_of_lines_that_repeat_gives_back_every_byte(rows: list[tuple[str, ...]]) -> None:
    text = "".join(f"2026-11-22 08:00:01 service {a} value {b}, {c}.\r\n" for a, b, c in rows)
    result = fold_log(text, count)
    assert result.form == "original" or unfold_log(result.text) == text


@pytest.mark.parametrize("value", [".", "^", "*x", "\\", "\\.", "=", "--", "◊", "..", "a"])
def test_values_that_look_like_marks_of_the_form_come_back(value: str) -> None:
    text = "\n".join(f"the service said {value}{i % 3} and {value} then job-{i}" for i in range(40))
    result = fold_log(text, count)
    assert result.form == "folded_log"
    assert unfold_log(result.text) == text


def test_folding_writes_templates_once_and_leaves_out_what_was_above() -> None:
    log = stamped(*(f"INFO job-{i} took {i * 7} ms" for i in range(40)))
    result = fold_log(log, count)
    _, template, end, first, second, *_ = result.text.split("\n")
    assert template == "a ◊ ◊,◊ INFO ◊ took ◊ ms"
    assert end == "--"
    assert first == "a 2026-11-22 08:00:00 123 job-0 0"
    assert second == "a . *01 . job-1 7"
    assert result.tokens_before >= 1.8 * result.tokens_after


@pytest.mark.parametrize(
    "broken",
    ["", "a b c", "{whole}\nzz 1 2", "{head}", "{head}\nno end", "{whole}\na 1 2 3 4 5 6 7"],
    ids=["empty", "other", "unknown template", "cut", "no end", "too many"],
)
def test_what_is_no_folded_log_is_refused(broken: str) -> None:
    whole = fold_log(stamped(*(f"INFO job-{i} took {i} ms" for i in range(40))), count).text
    text = broken.format(whole=whole, head=whole.split("\n")[0])
    with pytest.raises(ShapeError):
        unfold_log(text)


# -- what is no log --------------------------------------------------------------------------------

NO_LOGS = {
    "prose": "\n".join(f"This is sentence number {i} of a story that goes on." for i in range(3)),
    "csv": "\n".join(f"{i},{i * 3},name{i % 7},2026-01-{i % 28 + 1:02d}" for i in range(200)),
    "csv with times": "\n".join(f"2026-01-01 10:{i % 60:02d}:00,{i},{i * 2}" for i in range(200)),
    "tab table": "\n".join(f"{i}\t{i * 3}\tname{i % 7}" for i in range(200)),
    "markdown table": "\n".join(f"| {i} | name {i % 7} | {i * 3} |" for i in range(200)),
    "json": "[\n"
    + ",\n".join(f' {{\n  "id": {i},\n  "name": "n{i}"\n }}' for i in range(60))
    + "]",
    "json lines of data": "\n".join(
        f'{{"id": {i}, "name": "n{i % 5}", "size": 3}}' for i in range(99)
    ),
    "ids": "\n".join(f"{i * 7919:08x}: {i * 104729:08x}" for i in range(100)),
    "yaml": "\n".join(f"- name: n{i}\n  size: {i}\n  kind: disk" for i in range(60)),
    "files": "\n".join(
        f"-rw-r--r-- 1 me me {i * 91} Nov 22 08:{i % 60:02d} f{i}" for i in range(60)
    ),
    "processes": "UID  PID TIME     CMD\n"
    + "\n".join(f"me   {i}  00:00:{i:02d} run --job {i}" for i in range(10, 60)),
    "subtitles": "\n".join(
        f"{i}\n00:00:{i:02d},0 --> 00:00:{i:02d},9\nhello {i}\n" for i in range(60)
    ),
    "list": "\n".join(f"{i}. item number {i} of the list" for i in range(60)),
    "code": "\n".join(
        f"def f{i}(x):\n    if x > {i}:\n        return x + {i}\n" for i in range(60)
    ),
}


@pytest.mark.parametrize("name", NO_LOGS)
def test_what_is_no_log_is_left_alone_with_a_reason(name: str) -> None:
    text = NO_LOGS[name]
    result = group_logs(text, count)
    assert result.text is text
    assert result.reason.startswith("not ")


def test_what_this_very_program_prints_about_its_imports_is_a_log() -> None:
    run = subprocess.run(
        [sys.executable, "-v", "-c", "import json"], capture_output=True, text=True, check=True
    )
    assert group_logs(run.stderr, count).form == "grouped_log"


# -- bad input -------------------------------------------------------------------------------------

STAMP = "2026-01-01 10:10:10 "
BAD_INPUT = {
    "empty": "",
    "one line of letters": "x" * 5_000_000,
    "one line of digits": "1." * 500_000,
    "one line of hex": "a1" * 500_000,
    "one line of quotes": '" 2' * 100_000,
    "empty lines": "\n" * 200_000,
    "escapes": "\x1b]" * 200_000,
    "blanks": " " * 1_000_000,
    "binary": bytes(range(256)).decode("latin-1") * 400,
    "surrogates": f"{STAMP}INFO \ud800 got {{}}\n" * 3_000,
    "crlf": f"{STAMP}INFO got 3\r\n" * 5_000,
    "long gaps": (STAMP + "{" * 20_000 + "\n") * 20,
    "indented": "\n".join(" " * i + "x" for i in range(300)),
    "tracebacks": "Traceback (most recent call last):\n  at x\n" * 5_000,
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_takes_bounded_time(name: str) -> None:
    text = BAD_INPUT[name]

    def both() -> None:
        assert len(group_logs(text, len, sure=True).text) <= len(text)
        folded = fold_log(text, len)
        assert folded.form == "original" or unfold_log(folded.text) == text

    assert own_seconds(both) < 20  # a second; quadratic ones take minutes


def test_cleaning_joins_no_lines() -> None:
    assert cleaned("a\r\nb\rc\n\x1b[1mfail\x1b[0m\x1b]0;title\x07.") == "a\nb\nc\nfail."


def test_every_process_writes_the_same_bytes() -> None:
    code = (
        "from frugal_chains.compression.shape._logs import group_logs\n"
        "import hashlib, random\n"
        "rng = random.Random(3)\n"
        "log = ''.join(f'08:00:01 INFO {rng.choice(\"abcdefg\")}-{rng.randrange(9)} got '\n"
        '              f\'{rng.choice(["tea", "rye", "oat"])}\\n\' for _ in range(300))\n'
        "print(hashlib.sha256(group_logs(log, len).text.encode()).hexdigest())\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(seen) == 1


# -- each sign of a problem ------------------------------------------------------------------------

# As the programs write them, with a number that differs from line to line.
PROBLEMS = {
    "systemd": "You are in emergency mode after try {}",
    "make": "Aborted after {} steps",
    "kernel": "worker[{}]: segfault at 0 ip 00007f",
    "shell": "Segmentation fault in job {}",
    "ssh": "Permission denied (publickey) for try {}",
    "curl": "curl: (7) Connection refused, try {}",
    "git": "! [rejected] main -> main (try {})",
    "postgresql": "deadlock detected by process {}",
    "disk": "index {} is corrupt",
    "node": "Unhandled promise in turn {}",
    "browser": "Uncaught [object Object] at {}",
    "out of memory": "Out of memory: Killed process {} (java)",
    "java": "Caused by: no room for {} entries",
    "x11": "cannot open display :{}",
    "python": "can't open file number {}",
    "dns": "unable to resolve host number {}",
    "psql": "could not connect to server {}",
    "requests": "read of page {} timed out",
    "rfc 5424": "CRITICAL: disk {} is full",
    "java logging": "SEVERE: disk {} is full",
    "go": "panic: index {} is too large",
    "mail": "timeout: no answer to message {}",
    "core": "core dumped to file {}",
    "pytest": "E   assert {} == 2",
    "glog": "E0102 15:04:05.678901 {} file.cc:42] it broke",
    "goroutine": "goroutine {} [running]:",
    # Levels cut short.
    "zerolog": "3:04PM ERR disk {} is full",
    "serilog": "[12:00:00 FTL] disk {} is full",
    "nginx": "2026/11/22 08:00:01 [crit] 7#7: *{} no live upstreams",
    "nginx alert": "2026/11/22 08:00:01 [alert] 7#7: worker process {} exited on signal 11",
    "apache": "[Sun Nov 22 08:00:01 2026] [core:alert] [pid {}] no such file",
    "haproxy": "[ALERT] 325/080001 ({}) : backend has no server",
    "logfmt": 'ts=2026-11-22T08:00:01Z level=err msg="disk {} is full"',
}


@pytest.mark.parametrize("program", PROBLEMS)
def test_a_problem_is_told_by_its_words_or_signs(program: str) -> None:
    """Each stays: of lines that are none, alike ones would become one."""
    problems = [PROBLEMS[program].format(n) for n in (3, 5, 8, 13, 21)]
    log = "".join(f"INFO tick number {n}\n{problem}\n" for n, problem in enumerate(problems))
    assert set(problems) <= set(output_lines(grouped(log + "INFO tick number 9\n" * 30)))


def test_every_frame_of_a_long_traceback_stays() -> None:
    frames = [f'  File "/srv/app/part_{n}.py", line {n}, in call_{n}' for n in range(150)]
    lines = ["Traceback (most recent call last):", *frames, "KeyError: 'pear'"]
    log = "\n".join(["INFO tick"] * 400 + lines + ["INFO tock"] * 400)
    shown = output_lines(grouped(log))
    at = shown.index(lines[0])
    assert shown[at : at + len(lines)] == lines


def test_a_record_with_a_problem_below_its_first_line_stays_whole() -> None:
    records = [
        f"2026-11-22 08:00:{n:02d} INFO job {n} said:\n  one is done\n  it cannot write to disk {n}"
        for n in range(20)
    ]
    shown = group_logs("\n".join(records), count, sure=True).text
    assert all(record in shown for record in records)


def test_what_may_not_be_grouped_or_folded_again_is_not() -> None:
    log = stamped(*(f"INFO user {n} paid {n + 3} EUR" for n in range(40)))
    once, folded = group_logs(log, count), fold_log(log, count)
    again = group_logs(f"{once.text}\n" * 9, count, sure=True)
    assert (again.form, again.reason) == ("original", "a grouped log already")
    twice = fold_log(f"{folded.text}\n" * 9, count)
    assert (twice.form, twice.reason) == ("original", "a folded log already")
    nul = group_logs(log.replace("EUR", "\0"), count, sure=True)
    assert (nul.form, nul.reason) == ("original", "not a log: it holds NUL characters")


@pytest.mark.parametrize("signs", ["◊", "◊□¤‡", "◊□¤‡◆"])
def test_a_log_that_holds_the_signs_of_the_form_comes_back(signs: str) -> None:
    log = "\n".join(f"the service {signs} took job-{n} for {n * 7} ms" for n in range(40))
    result = fold_log(log, count)
    assert result.form == ("original" if len(signs) == 5 else "folded_log")
    assert result.form == "original" or unfold_log(result.text) == log


def test_an_exception_stays_with_the_frames_above_it_whatever_its_name() -> None:
    ends = [f"StopIteration at turn {n}" for n in range(9)]
    frames = 'Traceback (most recent call last):\n  File "a.py", line 1, in work\n'
    log = "".join(f"step {n} is done\n{frames}{end}\n" for n, end in enumerate(ends))
    shown = output_lines(grouped(log))
    assert [shown[shown.index(end) - 1].strip() for end in ends] == [
        'File "a.py", line 1, in work'
    ] * len(ends)


def test_values_that_are_left_out_are_said_to_be() -> None:
    users = ["alice", "bob", "carol", "dave", "erin"]
    log = stamped(*(f"INFO job {users[n % 5]}-{n}-x{n * 7} is done" for n in range(20)))
    (line,) = output_lines(group_logs(log, count))
    assert line.endswith(" …}")


def test_what_is_not_clearly_a_log_is_left_alone() -> None:
    """Sentences that begin alike, with neither times nor levels, and little to gain."""
    words = ["amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven"]
    text = "\n".join(
        f"the story tells of {words[n % 8]} and {words[n % 7]} by the {words[n % 5]} {words[n % 3]}"
        if n % 3
        else f"the story tells of page {n}"
        for n in range(60)
    )
    assert 1 < count(text) / count(group_logs(text, count, sure=True).text) < 1.5
    result = group_logs(text, count)
    assert (result.form, result.reason[:20]) == ("original", "not clearly a log: n")


NAMES = [
    "amber",
    "basil",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "knoll",
    "lagoon",
]
REASONS = {
    "no times, no levels, and few words": "\n".join(
        f"{n * 77} {n * 104729:08x} at {n}" for n in range(60)
    ),
    "no times, no levels, and its lines do not repeat": "\n".join(
        f"{name} went over to {other} once more" for name in NAMES for other in NAMES[:1]
    ),
    "fewer than 8 lines": "INFO tick 1\n" * 7,
}


@pytest.mark.parametrize("reason", REASONS)
def test_the_reason_why_a_text_is_no_log_is_told(reason: str) -> None:
    result = group_logs(REASONS[reason], count)
    assert (result.form, result.reason) == ("original", f"not a log: {reason}")


@pytest.mark.parametrize("line", ["a ^ 1", "a *x 1", "a  1"])
def test_a_folded_log_without_its_beginning_is_refused(line: str) -> None:
    head = fold_log(stamped(*(f"INFO job-{n} is done" for n in range(40))), count).text.split("\n")[
        0
    ]
    with pytest.raises(ShapeError, match="was a part of it cut"):
        unfold_log(f"{head}\na job ◊ took ◊ ms\n--\n{line}")
