"""Isolation of plugins: whatever one raises or prints when it is imported stops no command, and is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import warnings

import pytest
from throwaway_plugins import hook, install, load, record_of

import zoo
from zoo.registry import isolation, load_cell_file, load_plugin_file, probe

FINE = hook("cell", "fine")
RAISED = {
    "own": "class Own(BaseException): pass\nraise Own('stop')",
    "keyboard": "raise KeyboardInterrupt",
    "generator": "raise GeneratorExit('stop')",
    "exit": "raise SystemExit(3)",
    "cancelled": "import asyncio\nraise asyncio.CancelledError",
    "iteration": "raise StopIteration",
    "assertion": "assert False",
    "group": "raise BaseExceptionGroup('many', [KeyboardInterrupt()])"
    if sys.version_info >= (3, 11)
    else "raise KeyboardInterrupt",
    "mute": "class Mute(BaseException):\n    def __str__(self): raise SystemExit\nraise Mute",
}


@pytest.mark.parametrize("case", RAISED)
@pytest.mark.parametrize("where", ["import", "hook"])
def test_any_exception_of_plugin_is_recorded_as_failure(site, case, where):
    body = RAISED[case]
    if where == "hook":
        body = hook() + "".join(f"    {line}\n" for line in body.splitlines())
    install(site, "zoo-ta", body)
    install(site, "zoo-tb", FINE)
    loader = load()
    record = record_of(loader, "zoo_ta")
    assert (record.status, type(record.cause).__name__ in record.error) == ("failed", True)
    assert loader.registry(zoo.Cell).list() == ["fine"]


@pytest.mark.parametrize("case", RAISED)
def test_any_exception_of_file_becomes_plugin_error(tmp_path, case):
    path = tmp_path / "mine.py"
    path.write_text(RAISED[case], encoding="utf-8")
    for read in (load_plugin_file, lambda path: load_cell_file(f"{path}:Mine")):
        with pytest.raises(zoo.PluginError, match=r"mine\.py cannot be (loaded|imported): "):
            read(path)


def test_long_message_is_cut(site):
    install(site, "zoo-t", "raise ValueError('x' * 100_000)")
    error = record_of(load(), "zoo_t").error
    assert len(error) < 1100
    assert "... (100,012 characters)" in error


# ---- signals ------------------------------------------------------------------------------------------

INTERRUPT = "import signal\nsignal.raise_signal(signal.SIGINT)\n"


@pytest.mark.parametrize(
    "body",
    [
        INTERRUPT,
        f"try:\n    {INTERRUPT.replace(chr(10), chr(10) + '    ')}\nexcept BaseException:\n    pass\n" + FINE,
        f"try:\n    {INTERRUPT.replace(chr(10), chr(10) + '    ')}\nfinally:\n    raise ImportError('late')",
    ],
)
def test_keyboard_interrupt_passes_through_plugin(site, body):
    install(site, "zoo-t", body)
    loader = load()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loader.plugins()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_exceptions_of_signal_handlers_propagate(site):
    def stop(number, frame):
        raise SystemExit(5)

    install(site, "zoo-t", "import signal\nsignal.raise_signal(signal.SIGUSR1)\n")
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(SystemExit):
            load().plugins()
        assert signal.getsignal(signal.SIGUSR1) is stop
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_signal_handler_of_plugin_stays(site):
    install(site, "zoo-t", "import signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n" + FINE)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert record_of(load(), "zoo_t").status == "loaded"
        assert signal.getsignal(signal.SIGTERM) is not before
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_load_too(site):
    install(site, "zoo-ta", "raise KeyboardInterrupt")
    install(site, "zoo-tb", FINE)
    results = []
    thread = threading.Thread(target=lambda: results.extend(record.status for record in load().plugins()))
    thread.start()
    thread.join()
    assert results == ["failed", "loaded"]


# ---- output -------------------------------------------------------------------------------------------

PRINTED = {
    "print": "print('hello')",
    "descriptor": "import os\nos.write(1, b'hello')",
    "C": "import ctypes\nctypes.CDLL(None).printf(b'hello')",
    "the first stdout": "import sys\nsys.__stdout__.write('hello')",
    "a child": "import os\nos.system('echo hello')",
    "replaced": "import io, sys\nprint('hello')\nsys.stdout = io.StringIO()",
    "detached": "import sys\nprint('hello')\nsys.stdout.close()",
}


@pytest.mark.skipif(sys.platform == "win32", reason="another C library")
@pytest.mark.parametrize("case", PRINTED)
def test_output_of_plugin_becomes_warning(site, case, capfd):
    install(site, "zoo-t", f"{PRINTED[case]}\n{FINE}")
    stdout = sys.stdout
    with pytest.warns(zoo.ZooWarning, match=r"plugin zoo-t 1\.0 \(entry point 'zoo_t'\) wrote .*'hello"):
        assert record_of(load(), "zoo_t").status == "loaded"
    assert sys.stdout is stdout
    sys.stdout.write("after\n")
    assert capfd.readouterr() == ("after\n", "")


def test_printing_plugin_fails_if_warnings_are_errors(site):
    install(site, "zoo-t", f"print('hello')\n{FINE}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = record_of(load(), "zoo_t")
    assert (record.status, "wrote to standard output" in record.error) == ("failed", True)


def test_long_output_is_cut_and_missing_folder_is_ignored(site, monkeypatch):
    install(site, "zoo-ta", f"print('x' * 1_000_000)\n{FINE}")
    with pytest.warns(zoo.ZooWarning, match=r"'x{200}'\.\.\.;"):
        assert record_of(load(), "zoo_ta").status == "loaded"
    monkeypatch.setattr(isolation.tempfile, "TemporaryFile", _no_folder)
    install(site, "zoo-tb", "print('lost')\n" + hook("cell", "other"))
    assert record_of(load(), "zoo_tb").status == "loaded"


def _no_folder(*args, **kwargs):
    raise FileNotFoundError("No usable temporary directory found")


def test_slow_plugin_is_named(site, monkeypatch, capfd):
    monkeypatch.setattr(isolation, "SLOW", 0.05)
    install(site, "zoo-t", f"import time\ntime.sleep(0.5)\n{FINE}")
    assert record_of(load(), "zoo_t").status == "loaded"
    assert capfd.readouterr().err == (
        "still loading plugin zoo-t 1.0 (entry point 'zoo_t') after 0.05 s; set ZOO_PLUGINS= to skip it\n"
    )


# ---- whole commands -----------------------------------------------------------------------------------


def _zoo(site, *args, **how):
    environ = {name: value for name, value in os.environ.items() if name != "ZOO_PLUGINS"}
    return subprocess.run(
        [sys.executable, "-m", "zoo", *args],
        env={**environ, "PYTHONPATH": str(site), **how.pop("env", {})},
        capture_output=True,
        text=True,
        timeout=120,
        **how,
    )


def test_json_output_stays_valid_with_noisy_plugins(site):
    for number, body in enumerate([*PRINTED.values(), *RAISED.values()]):
        install(site, f"zoo-t{number}", f"{body}\n" + hook("cell", f"c{number}"))
    completed = _zoo(site, "plugins", "--json")
    records = {record["name"]: record for record in json.loads(completed.stdout)}
    status = [records[f"zoo_t{number}"]["status"] for number in range(len(PRINTED) + len(RAISED))]
    assert completed.returncode == 0
    assert status == ["loaded"] * len(PRINTED) + ["failed"] * len(RAISED)
    assert completed.stderr.count("wrote to standard output") == len(PRINTED)


def test_shipped_plugins_alone_pay_for_no_isolation():
    code = (
        "import sys; from zoo.registry.loader import Loader; Loader(environ={'ZOO_PLUGINS': ''}).plugins(); "
        "print('zoo.registry.isolation' in sys.modules)"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout == "False\n"


CRASHES = {
    "exit": ("import os\nos._exit(0)", "a process that loads it ends with exit code 0"),
    "abort": ("import os\nos.abort()", "a process that loads it ends with signal 6 (Aborted)"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("case", CRASHES)
def test_crashing_plugin_runs_in_child_process(site, monkeypatch, case):
    body, words = CRASHES[case]
    install(site, "zoo-t", body)
    monkeypatch.setenv("ZOO_PLUGINS", "zoo-t")
    (door,) = [door for door in probe.probe_plugins() if door.source.plugin == "zoo_t"]
    assert words in door.error
    assert "leave it out: ZOO_PLUGINS= lets in zoo's own plugins alone" in door.error


@pytest.mark.skipif(sys.platform == "win32", reason="no such command")
def test_probe_has_a_time_limit(site, monkeypatch):
    install(site, "zoo-t", "import os, time\nos.system('sleep 3 &')\ntime.sleep(30)")
    monkeypatch.setattr(probe, "TIME_LIMIT", 1.5)
    monkeypatch.setenv("ZOO_PLUGINS", "zoo-t")
    (door,) = [door for door in probe.probe_plugins() if door.source.plugin == "zoo_t"]
    assert door.error.startswith("a process that loads it is still busy after 1.5 s. Every command ends like")


def test_doctor_names_the_plugin_that_crashes(site):
    install(site, "zoo-t", "import os\nos._exit(0)")
    completed = _zoo(site, "doctor", "--json", env={"ZOO_PLUGINS": "zoo-t"})
    (record,) = [record for record in json.loads(completed.stdout)["plugins"] if record["name"] == "zoo_t"]
    assert completed.returncode == 1
    assert record["error"].startswith(
        "a process that loads it ends with exit code 0. Every command ends like"
    )
