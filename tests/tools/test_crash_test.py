"""Killed runs that are resumed equal undisturbed ones; `tools/crash_test.py` repeats that with many kills."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from pathlib import Path

import pytest
from crash_tests.campaign import SCENARIOS, Campaign, Entry

TOOLS = Path(__file__).parents[2] / "tools"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and processes in /proc")

# In a process of its own, since a test process has threads, which a fork does not survive.
EVERY_POINT = """
import random, sys
from pathlib import Path
from crash_tests.trainings import EveryPoint

folder = Path(sys.argv[1])
scenario = EveryPoint("text-first", steps=6)
scenario.prepare(folder)
for number in range(scenario.undisturbed.points):
    scenario.run_with_kills(folder / f"{number}", number, random.Random(0))
    scenario.compare(folder / f"{number}")
print(scenario.undisturbed.points)
"""


def test_every_crash_point_resumes_bit_exactly(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EVERY_POINT, str(tmp_path)]
    done = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 30


class Scripted:
    """A scenario that kills nothing: one kill in each round, and a difference in some rounds."""

    differs: tuple[int, ...] = ()

    def prepare(self, folder: Path) -> None:
        self.closed = False

    def run_with_kills(self, out: Path, number: int, rng: random.Random) -> list[str]:
        out.mkdir()
        (out / "drawn").write_text(f"{number} {rng.random()}")
        return ["delay"]

    def compare(self, out: Path) -> None:
        assert int((out / "drawn").read_text().split()[0]) not in self.differs, "the log differs"

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scenario = Scripted()
    monkeypatch.setitem(SCENARIOS, "text", Entry("scripted", lambda: scenario, 15))
    return scenario


def test_campaign_resumes(tmp_path: Path, scripted: Scripted) -> None:
    campaign = Campaign(tmp_path, seed=0)
    assert len([*itertools.islice(campaign.run_missing("text", 5), 2)]) == 2
    with (tmp_path / "text.jsonl").open("a") as file:
        file.write('{"kills": ["de')  # killed while it wrote
    assert [each.kills for each in campaign.run_missing("text", 5)] == [["delay"]] * 3
    assert scripted.closed
    assert [*campaign.run_missing("text", 5)] == []
    assert len(campaign.rounds("text")) == 5
    assert "| scripted | 5 | 5 | 0 | 5 delay |" in campaign.table(["text"])


def test_campaign_keeps_differing_directories(tmp_path: Path, scripted: Scripted) -> None:
    scripted.differs = (1,)
    rounds = [*Campaign(tmp_path, seed=0).run_missing("text", 3)]
    assert [bool(each.difference) for each in rounds] == [False, True, False]
    assert "the log differs" in rounds[1].difference
    assert [path.name for path in tmp_path.glob("differs-*/drawn")] == ["drawn"]
    done = subprocess.run(
        [sys.executable, TOOLS / "crash_test.py", "--out", tmp_path, "--only", "text", "--table"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "| text, forks | 3 | 3 | 1 | 3 delay |" in done.stdout


def test_shares_of_kills_sum_to_100() -> None:
    assert sum(entry.share for entry in SCENARIOS.values()) == 100
