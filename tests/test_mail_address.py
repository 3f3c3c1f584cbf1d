"""Checks of mail addresses."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.config import load
from anomify.errors import ConfigError, Invalid
from anomify.mail_address import address_problem, domain_on_the_wire
from anomify.user.creating import fold_email

GOOD = (
    "ann@example.com",
    "ann.o'neil+alerts@mail.acme.example",
    "a_b-c@x--y.example",
    "1@2.example",
    "root@localhost",
    "ann@bücher.example",
    "ann@例え.テスト",
    "ann@xn--bcher-kva.example",
    "l" * 64 + "@" + "d" * 60 + ".example",
)
BAD = (
    *("", "@", "ann", "ann@", "@example.com", "a@b@example.com", "ann@acme", "ann@example.com."),
    *("ann@.example.com", "ann@a..example", ".ann@x.example", "ann.@x.example", "a..b@x.example"),
    *("a b@x.example", "ann@ex ample.com", '"a b"@x.example', "ann@x.example>", "<ann@x.example>"),
    *(
        "ann@x.example\r\nBcc: b@x.example",
        "ann\r\n@x.example",
        "ann@x.example\n",
        "a\x00@x.example",
    ),
    *("ann,bob@x.example", "ann@x.example,bob@x.example", "a;b@x.example", "a:b@x.example"),
    *("ann@[192.0.2.1]", "ann@192.0.2.1", "ann@-x.example", "ann@x-.example", "ann@x_y.example"),
    *("müller@x.example", "ann@\u200bx.example", "ann@x.example\u202e", "ann@xn--a.example"),
    *("l" * 65 + "@x.example", "ann@" + "d" * 64 + ".example", "ann@" + "d." * 126 + "example"),
    "ann@" + "ü" * 60 + ".example",
)


def accepted(address: str) -> bool:
    try:
        folded = fold_email(address)
    except Invalid:
        return False
    return folded == address.strip().lower()


class TestAddressProblem:
    def test_is_none_where_mail_can_be_sent(self) -> None:
        for address in GOOD:
            assert address_problem(address) is None, address
            assert accepted(f" {address.upper()} "), address

    def test_returns_what_is_wrong(self) -> None:
        for address in BAD:
            problem = address_problem(address)
            assert problem is not None, address
            assert problem.isprintable()
            # Only white space around it is forgiven.
            assert accepted(address) == (address_problem(address.strip()) is None), address

    @given(
        st.text()
        | st.tuples(st.text(min_size=1), st.text(min_size=1)).map("@".join)
        | st.from_regex(r"[!-~]{1,70}@[a-z0-9.-]{1,40}", fullmatch=True)
    )
    def test_accepted_addresses_are_written_unchanged_into_the_header(self, address: str) -> None:
        if address_problem(address) is not None:
            return
        local, _, domain = address.rpartition("@")
        spec = f"{local}@{domain_on_the_wire(domain)}"
        assert spec.isascii()
        mail = EmailMessage(policy=SMTP)
        mail["To"] = Address("", addr_spec=spec)
        assert mail["To"].addresses[0].addr_spec == spec
        assert mail.as_bytes().count(b"\r\n") <= 3


class TestSettings:
    def test_refuse_an_invalid_address(self) -> None:
        for key in ("operator_email", "mail_from"):
            assert getattr(load({key: "ops@acme.example"}), key) == "ops@acme.example"
            for address in (
                "ops",
                "ops@acme",
                "ops@x.example, b@x.example",
                "<>",
                "a\r\n@x.example",
            ):
                with pytest.raises(ConfigError, match=key):
                    load({key: address})
        with pytest.raises(ConfigError, match="operator_email"):
            load({"operator_email": "Ops <ops@acme.example>"})
        assert load({"mail_from": "Acme <ops@acme.example>"}).mail_from == "Acme <ops@acme.example>"
