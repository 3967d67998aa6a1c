import time
import unittest

import pytest


@pytest.fixture(scope="module", autouse=True)
def booted(dutlink):
    dutlink.storage.dut()
    dutlink.power.on()
    dutlink.console.login("root", "hil")


def test_bad_pattern(console):
    console.sendline()
    console.expect("[unclosed")


def test_refused_attribute(dutlink):
    dutlink.settings.name = "x"


def test_expect(console):
    console.sendline()
    console.expect("never comes", timeout_s=0.5)


def test_missing_image(storage, console):
    console.run("uname")
    storage.flash("missing.img")


def test_wrong_pin(pins, console):
    console.run("uname")
    pins.low("x")


@pytest.mark.timeout(4)
def test_time_limit(console):
    console.expect("never comes", timeout_s=500)


@pytest.mark.timeout(2)
def test_hang(power):
    time.sleep(300)


@pytest.mark.timeout(2)
def test_off(power):
    power.wait_until_off(300)


def test_run_without_login(console, power):
    power.cycle(wait_s=0.1)
    console.expect("login: ")
    console.run("uname", timeout_s=5)


def test_wrong_password(console, power):
    power.cycle(wait_s=0.1)
    console.login()


class TestOfUnittest(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take(self, console):
        self.console = console

    def test_unittest(self):
        self.console.sendline()
        self.console.expect("never comes", timeout_s=0.5)
