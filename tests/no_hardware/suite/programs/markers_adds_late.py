import pytest


class Late(pytest.Item):
    def runtest(self):
        pass


class Sneaks(pytest.Item):
    def runtest(self):
        pass


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session, items):
    items.append(Late.from_parent(session, name="late"))
    confused = Sneaks.from_parent(session, name="sneaks")
    confused.add_marker("hardware")
    confused.add_marker("mixed")
    items.append(confused)
