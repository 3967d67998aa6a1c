import logging


def test_wrong_password_that_is_printed(console, power):
    account = console._account
    print(f"{account.password} {account.password:>20} {account} {[account.password]}")
    logging.getLogger("a test").warning("%s %r", account.password, account)
    power.cycle(wait_s=0.1)
    console.login()
