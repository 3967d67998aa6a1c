"""Texts that the board's shell prints, byte for byte, because hosts match against them (firmware: shell.rs).

The firmware's help has two mistakes, which are kept: CTRL+A for Ctrl-B, and `poweron` for the key `power_on`.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ABOUT_HEAD",
    "ABOUT_TAIL",
    "CLEAR_SCREEN",
    "COMMANDS",
    "CONSOLE_LEFT",
    "CR",
    "HELP",
    "PROMPT",
    "UNSUPPORTED",
]

CR: Final = "\r\n"
PROMPT: Final = "#> "
CLEAR_SCREEN: Final = "\x1b[H\x1b[2J"
CONSOLE_LEFT: Final = f"{CR}Exiting console mode{CR}{PROMPT}"
UNSUPPORTED: Final = f"{CR}unsupported command{CR}"

COMMANDS: Final = (
    "help",
    "about",
    "get-config",
    "version",
    "meter",
    "storage",
    "send",
    "set",
    "set-config",
    "monitor",
    "power",
    "console",
    "status",
    "clear",
)
"""Command names, in the order in which a tab tries them."""

HELP: Final = CR + "".join(
    f"{line}{CR}"
    for line in (
        "about               : print information about this device",
        "clear               : clear the screen",
        "help                : print this help",
        "meter on|read|off   : read power consumption",
        "monitor on|off      : enable or disable the serial console monitor in this terminal",
        "console             : enter into serial console mode, exit with CTRL+A 5 times",
        "power on|off        : power on or off the DUT",
        "send string         : send string to the DUT",
        "set r|a|b|c|d l|h|z : set RESET, CTL_A,B,C or D to low, high or high impedance",
        "set-config name|tags|json|usb_console|poweron|poweroff value : set the config value in flash",
        "get-config          : print all the config parameters",
        "status              : print status of the device",
        "storage dut|host|off: connect storage to DUT, host or disconnect",
        "version             : print version information",
    )
)

ABOUT_HEAD: Final = f"{CR}Jumpstarter test-harness version: "
ABOUT_TAIL: Final = CR.join(
    (
        "",
        "",
        "This is a device for testing images and power consumption of Edge devices in CI or",
        "development, made as Open BoardFunctions, designed to be used with the jumpstarter project.",
        "more information can be found here:",
        "",
        "https://github.com/redhat-et/jumpstarter",
        "",
    )
)
