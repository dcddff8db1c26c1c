"""A head that is gone is noticed at once; one that merely hangs up is not taken for gone."""

import socket
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from dferc_platform.lifeline import await_loss

ENDS = """
from dferc_platform import lifeline

with lifeline.at_loss(lambda: print("wound down", flush=True)), lifeline.at_loss(lambda: 1 / 0):
    lifeline._end("head:1")
"""


@pytest.fixture
def head():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def watched(head):
    """Whether the head was lost, once that is known; and the event that says that nobody asks any more."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(await_loss, "127.0.0.1", head.getsockname()[1], over), over
        over.set()


def test_a_head_that_dies_is_lost(head, watched):
    lost, _ = watched
    line, _ = head.accept()
    head.close()
    line.close()
    assert lost.result(timeout=30)


def test_a_head_that_hangs_up_and_answers_again_is_not(head, watched):
    lost, over = watched
    for _ in range(3):
        line, _ = head.accept()
        line.sendall(b"a server says what it speaks")
        line.close()
    assert not lost.done()
    over.set()
    assert not lost.result(timeout=30)


def test_the_end_of_a_block_is_no_loss(watched):
    lost: Future[bool]
    lost, over = watched
    over.set()
    assert not lost.result(timeout=30)


def test_what_is_to_be_done_is_done_and_the_sentence_is_said():
    ran = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 1
    assert ran.stdout == "wound down\n"
    assert ran.stderr.startswith("the head of the Ray cluster at head:1 is gone; what is finished is kept")
    assert len(ran.stderr.splitlines()) == 1
