"""The places of a lab file, as far as a run needs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.dutlink.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.dutlink.host import Host
    from hil.dutlink.settings import Settings
    from hil.images.source import ImageSource
    from hil.lab.config.place import Place
    from hil.lab.safe_state.policy import Safety

__all__ = ["SEQUENCES", "Lab"]

SEQUENCES = ("power_on", "power_off", "power_rescue")


_NO_PLACES: Final[Mapping[str, Place]] = {}


class Lab(NamedTuple):
    """The places of a lab file; a board that the file does not name is a place without a name.

    Attributes:
        file: The lab file; None if there is none.
        places: Each place by its name.
    """

    file: Path | None = None
    places: Mapping[str, Place] = _NO_PLACES

    def serial_of(self, board: str) -> str:
        """Return the serial number of the place called `board`, or `board` itself if there is none."""
        place = self.places.get(board)
        return place.serial if place is not None else board

    def name_of(self, serial: str) -> str:
        """Return the name of a board's place, or an empty string if the file does not name the board."""
        return next((name for name, place in self.places.items() if place.serial == serial), "")

    def name_on(self, host: Host, serial: str, stored: str = "") -> str:
        """Return the name of a board: of its place, else stored by it, else given by its host; or empty."""
        return self.name_of(serial) or stored or host.name_of(serial)

    def tags_of(self, serial: str) -> frozenset[str]:
        """Return the tags that the file adds to those that the board stores."""
        place = self._place_of(serial)
        return frozenset(place.tags) if place is not None else frozenset()

    def wiring_of(self, serial: str) -> Wiring:
        """Return what the board cannot know: paths on the host, and the DUT's login and prompts."""
        place = self._place_of(serial)
        if place is None:
            return Wiring()
        wiring = Wiring(
            console=Path(place.console) if place.console else None,
            stick=Path(place.stick) if place.stick else None,
            login=place.login.as_login() if place.login else None,
            up=place.up,
            up_timeout_s=place.up_timeout_s,
            pace_s=place.pace_s,
            name=self.name_of(serial),
        )
        return wiring if place.baud_rate is None else wiring._replace(baud_rate=place.baud_rate)

    def watch_of(self, serial: str) -> tuple[str, ...]:
        """Return the place's own patterns of console errors, besides those that hil knows."""
        place = self._place_of(serial)
        return tuple(place.watch) if place is not None else ()

    def image_of(self, serial: str) -> ImageSource | None:
        """Return the image that the file names for a board's place; None if it names none.

        Raises:
            UsageError: There is no such file, or an address lacks its digest.
        """
        place = self._place_of(serial)
        if self.file is None or place is None or place.image is None:
            return None
        from hil.images.source import parse_image  # noqa: PLC0415 - only for runs with images

        return parse_image(place.image, self.file.resolve().parent)

    def sequences_of(self, serial: str) -> dict[str, str]:
        """Return the power sequences that the board should store, by the name of their setting.

        Only `hil settings apply` and `hil enroll` write them: a board's settings memory wears, and a run must
        not change what a board does on "on".
        """
        place = self._place_of(serial)
        wanted = {name: getattr(place, name, None) for name in SEQUENCES}
        return {name: text for name, text in wanted.items() if text is not None}

    def differing_sequences(self, serial: str, stored: Settings) -> dict[str, str]:
        """Return the place's power sequences that the board does not store."""
        from hil.dutlink.settings import differing_sequences  # noqa: PLC0415 - only to compare settings

        return differing_sequences(self.sequences_of(serial), stored)

    def policy_of(self, serial: str) -> str:
        """Return the place's policy; see `hil.lab.safe_state.policy.Safety.policy`."""
        from hil.lab.safe_state.policy import FORCE_OFF  # noqa: PLC0415 - only to compare settings

        return self.stated_policy_of(serial) or FORCE_OFF

    def stated_policy_of(self, serial: str) -> str | None:
        """Return the policy that the file states for the place; None if it states none."""
        place = self._place_of(serial)
        return place.safe if place is not None else None

    def leaves_alone(self, serial: str) -> bool:
        """Return True if the board's DUT is never to be made safe."""
        from hil.lab.safe_state.policy import LEAVE  # noqa: PLC0415 - only to compare settings

        return self.policy_of(serial) == LEAVE

    def safety_of(self, serial: str, safety: Safety) -> Safety:
        """Return `safety` with the place's policy."""
        return safety.with_policy(self.policy_of(serial))

    def missing(self, board: str) -> str:
        """Return a sentence about the place of an absent board, or an empty string if the file has none."""
        name = board if board in self.places else self.name_of(board)
        return f"{self.file} has place {name} with serial number {self.places[name].serial}" if name else ""

    def _place_of(self, serial: str) -> Place | None:
        return self.places.get(self.name_of(serial))
