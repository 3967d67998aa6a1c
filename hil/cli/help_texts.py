"""Short helps, examples and exit statuses of all commands."""

from __future__ import annotations

from typing import Final

__all__ = ["EXAMPLES", "SHORT", "STATUSES"]

SHORT: Final[dict[str, str]] = {
    "hil boards": "List boards and who uses them",
    "hil completion": "Print a completion script for bash or zsh or fish",
    "hil console": "Talk to the DUT; Ctrl-] leaves",
    "hil doctor": "Check this bench and suggest remedies",
    "hil enroll": "Find sticks and consoles and write the lab file",
    "hil flash": "Write an image to the stick and verify it",
    "hil history": "Show what broke and since when",
    "hil history forget": "Remove old runs",
    "hil history merge": "Add the runs of another history",
    "hil init": "Set up a repository; or be PID 1 of a container",
    "hil lease": "Run a command with a leased board",
    "hil nightly": "Run every test at night and keep the results",
    "hil nightly install": "Start a night every night by systemd or cron",
    "hil nightly run": "Run a night now",
    "hil nightly status": "Show when the next night is and how the last was",
    "hil nightly uninstall": "Remove the timer and the service",
    "hil pins": "Drive the DUT's control pins",
    "hil pins float": "Let all pins float",
    "hil pins reset": "Hold the reset pin low for a moment",
    "hil pins set": "Drive one pin low or high or let it float",
    "hil power": "Switch the DUT's supply or read its meter",
    "hil power cycle": "Switch the DUT off and on again",
    "hil power force-off": "Switch the supply off without the sequence",
    "hil power force-on": "Switch the supply on without the sequence",
    "hil power off": "Switch the DUT off by its sequence",
    "hil power on": "Switch the DUT on by its sequence",
    "hil power read": "Print volts and amperes and watts",
    "hil power rescue": "Switch the DUT on by its rescue sequence",
    "hil read": "Read the stick into a file",
    "hil report": "Make the pages of all nights or of one run",
    "hil safe": "Make a board safe: DUT off; stick detached",
    "hil settings": "Read or store the settings of a board",
    "hil settings apply": "Store the power sequences of the lab file",
    "hil settings get": "Print one setting or all of them",
    "hil settings set": "Store a setting",
    "hil sim": "Serve simulated boards until Ctrl-C",
    "hil sim clear": "End all faults of a board",
    "hil sim fault": "Begin or end a fault of a board",
    "hil sim log": "List the requests to a board",
    "hil sim state": "Show the true state of boards",
    "hil storage": "Connect the stick to the host or to the DUT",
    "hil storage dut": "Connect the stick to the DUT",
    "hil storage host": "Connect the stick to this host",
    "hil storage learn": "Learn the USB port of the stick",
    "hil storage off": "Disconnect the stick",
    "hil udev": "Print or install the udev rule for boards",
}
"""Short help of each command, for lists and completion. It has no commas, because fish would cut it there."""

STATUSES: Final = "Exit status: 0 done; 1 something went wrong; 2 misuse; 130 after Ctrl-C."
"""Exit statuses in the help of a command that names none itself."""

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
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
    "hil sim state": ("hil sim state", "hil sim state 5a1c0e01 --control 40001"),
    "hil sim fault": (
        "hil sim fault 5a1c0e01 unplug",
        "hil sim fault 5a1c0e01 hang on=false",
    ),
    "hil sim clear": ("hil sim clear 5a1c0e01",),
    "hil sim log": ("hil sim log --since 100 5a1c0e01",),
    "hil storage host": ("hil storage host",),
    "hil storage dut": ("hil storage dut --board jetson-1",),
    "hil storage off": ("hil storage off",),
    "hil storage learn": ("hil storage learn --board jetson-1",),
}
