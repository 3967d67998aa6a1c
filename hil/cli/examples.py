"""How each verb is typed: what its help shows where the verb itself has no examples, or names no statuses."""

from __future__ import annotations

__all__ = ["EXAMPLES", "STATUSES"]

STATUSES = "Exit status: 0 done; 1 something went wrong; 2 misuse; 130 after Ctrl-C."
"""Of every command that does not say more."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "hil": (
        "hil doctor",
        "hil enroll",
        "hil boards --watch",
        "hil power cycle --board jetson-1",
        "hil sim --boards 2",
    ),
    "hil history merge": ("hil history merge other-host.db",),
    "hil history forget": ("hil history forget --days 365",),
    "hil nightly run": ("hil nightly run", "hil nightly run --keep 60 -- -k power"),
    "hil nightly install": (
        "hil nightly install --at 04:30 --user",
        "hil nightly install --at 04:30 --keep 60 -- -k power",
    ),
    "hil nightly uninstall": ("hil nightly uninstall --user",),
    "hil nightly status": ("hil nightly status",),
    "hil pins set": ("hil pins set a high", "hil pins set reset low --board jetson-1"),
    "hil pins reset": ("hil pins reset", "hil pins reset --for 0.5"),
    "hil pins float": ("hil pins float",),
    "hil power on": ("hil power on", "hil power on --board jetson-1 --wait 600"),
    "hil power off": ("hil power off",),
    "hil power force-on": ("hil power force-on",),
    "hil power force-off": ("hil power force-off --board 0df10035",),
    "hil power rescue": ("hil power rescue",),
    "hil power cycle": ("hil power cycle", "hil power cycle --pause 5"),
    "hil power read": ("hil power read", "hil power read --json"),
    "hil safe": ("hil safe", "hil safe jetson-1", "hil safe --all"),
    "hil settings get": ("hil settings get", "hil settings get tags"),
    "hil settings set": (
        "hil settings set name rack-3",
        "hil settings set power_on p1,aL,w5,aZ",
        'hil settings set power_on ""',
    ),
    "hil settings apply": ("hil settings apply --board jetson-1",),
    "hil sim": ("hil sim --boards 2", "hil sim --boards 2 --state sim-state --speed 10"),
    "hil sim state": ("hil sim state --control 40001", "hil sim state --control 40001 5a1c0e01"),
    "hil sim fault": (
        "hil sim fault --control 40001 5a1c0e01 unplug",
        "hil sim fault --control 40001 5a1c0e01 hang on=false",
    ),
    "hil sim clear": ("hil sim clear --control 40001 5a1c0e01",),
    "hil sim log": ("hil sim log --control 40001 --since 100 5a1c0e01",),
    "hil storage host": ("hil storage host",),
    "hil storage dut": ("hil storage dut --board jetson-1",),
    "hil storage off": ("hil storage off",),
    "hil storage learn": ("hil storage learn --board jetson-1",),
}
