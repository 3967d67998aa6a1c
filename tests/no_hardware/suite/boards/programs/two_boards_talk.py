# ruff: noqa: F821 - what the test's `run` writes stands before it
from hil.sim.dut.image import build_image


@roles
def test_talk(dutlinks, tmp_path):
    server, client = (dutlinks[role].console for role in ("server", "client"))
    build_image(tmp_path / "talk.img", "talk")
    for board in dutlinks.values():
        board.storage.flash(tmp_path / "talk.img")
        board.storage.dut()
        board.power.cycle()
    for console in (server, client):
        console.login("root", "hil")
    client.run("wire send hello")
    assert server.run("wire receive").output.strip() == "hello"
    dutlinks["server"].power.force_off()
    assert "no other DUT is up" in client.run("wire send hello").output
