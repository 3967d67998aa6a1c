"""An open file of hil whose descriptor other code of the process may close, as `os.closerange` does.

The kernel gives the number of a closed descriptor to the next file that is opened. So the file is compared
before each use: hil must neither write into another file nor close it.
"""

from __future__ import annotations

import os

__all__ = ["CheckedDescriptor"]


class CheckedDescriptor:
    """A descriptor that is used only as long as it is the file that it was.

    Args:
        number: The descriptor; -1 for none.
    """

    def __init__(self, number: int = -1) -> None:
        self._number = number
        self._file = os.fstat(number) if number >= 0 else None

    @property
    def number(self) -> int:
        """The descriptor; -1 if it is closed, also by other code."""
        return -1 if self.was_closed_by_others else self._number

    @property
    def was_closed_by_others(self) -> bool:
        """Whether other code closed it."""
        if self._number < 0 or self._file is None:
            return False
        try:
            return not os.path.samestat(self._file, os.fstat(self._number))
        except OSError:
            return True

    def close(self) -> None:
        """Close it, unless other code did; harmless when repeated."""
        number, self._number = self.number, -1
        if number >= 0:
            os.close(number)
