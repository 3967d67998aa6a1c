from __future__ import annotations

import json
import pickle

import pytest

from hil.dutlink.dut.account import HIDDEN, Login, Secret
from hil.dutlink.wiring import Wiring
from hil.jumpstarter.protocol.board_description import apply_wiring, encode_wiring

WORD = "hush-83461"
SECRET = Secret(WORD)


@pytest.mark.parametrize("secret", [SECRET, SECRET.encode()])
def test_secret_is_hidden_however_it_is_shown(secret: Secret | bytes) -> None:
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>12}", "%s" % secret, f"{[secret]}"]  # noqa: UP031

    assert [text.strip("[] ") for text in shown] == [HIDDEN] * len(shown)


def test_secret_is_in_no_json_document() -> None:
    with pytest.raises(TypeError):
        json.dumps({"password": SECRET})


def test_secret_reveals_its_text() -> None:
    assert SECRET.reveal() == WORD
    assert Secret(SECRET).reveal() == WORD
    assert bytes(SECRET.encode()) == WORD.encode()


def test_secret_is_equal_to_the_same_secret_alone() -> None:
    assert Secret(WORD) == SECRET
    assert hash(Secret(WORD)) == hash(SECRET)
    assert SECRET != WORD
    assert bool(SECRET)
    assert not Secret()


def test_secret_goes_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(SECRET)) == SECRET  # noqa: S301 - our own


def test_login_hides_its_password() -> None:
    assert WORD not in f"{Wiring(login=Login('root', SECRET))}"


def test_wiring_of_an_exporter_keeps_the_password() -> None:
    wiring = Wiring(login=Login("root", SECRET, "# "))

    sent = json.loads(json.dumps(encode_wiring(wiring)))

    assert apply_wiring(Wiring(), sent).login == wiring.login
