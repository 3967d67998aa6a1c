"""Find errors that another error replaced: a `finally` or an `__exit__` may raise over a failed assertion.

Python keeps the replaced error as `__context__`, also after `raise ... from None`. It keeps errors that an
`except` has handled in the same way. Errors that never left hil and the libraries below it are left out: no
test has failed with them. All others count, because an `except` that ends with `raise` looks the same.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_excuse", "is_unittest_skip", "raised_by_tests"]

_LIBRARIES: Final = {"_pytest", "anyio", "grpc", "jumpstarter", "pluggy", "serial", "usb"}
_OURS: Final = sys.stdlib_module_names | _LIBRARIES | {"hil"}

_NO_FAILURES: Final = (
    GeneratorExit,
    StopAsyncIteration,
    StopIteration,
    pytest.skip.Exception,
    pytest.xfail.Exception,
)
"""How Python and pytest leave a block before its end; none of them means that a test has failed.

`asyncio.CancelledError` is another one, and so is the skip of `unittest`.
"""


def is_unittest_skip(error: BaseException) -> bool:
    """Return True if an error is a `unittest.SkipTest`."""
    return _is_a("unittest", "SkipTest", error)


def _is_a(module: str, name: str, error: BaseException) -> bool:
    """Return True if an error is of a class of a module; where the module is not imported, no error is."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(error, kind)


def is_excuse(error: BaseException) -> bool:
    """Return True if a test skips itself, or expects to fail, by raising an error."""
    return isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)) or is_unittest_skip(error)


def raised_by_tests(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in the chain of an error, or of a part of a group, that a test raised.

    Args:
        error: The last error; it is not yielded itself.
    """
    seen = {id(error)}
    waiting = _before(error)
    while waiting:
        earlier = waiting.pop()
        if id(earlier) in seen:
            continue
        seen.add(id(earlier))
        waiting += _before(earlier)
        leaves = isinstance(earlier, _NO_FAILURES) or _is_a("asyncio", "CancelledError", earlier)
        if not leaves and not is_unittest_skip(earlier) and _left_our_code(earlier):
            yield earlier


def _before(error: BaseException) -> list[BaseException]:
    """Return the next errors in the chain of an error; the parts of a group have chains of their own."""
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    chain = (error.__cause__, error.__context__)
    return [one for one in chain if one is not None] + [one for part in parts for one in _before(part)]


def _left_our_code(error: BaseException) -> bool:
    """Return True if an error passed through code of a test, or was never raised, which tells nothing."""
    trace = error.__traceback__
    if trace is None:
        return True
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _OURS:
            return True
        trace = trace.tb_next
    return False
