"""A run's profiles as other tools read them."""

from __future__ import annotations

from support.profiles import DUMPS, PAY, RENDER, profile
from support.profiling import read
from support.stored_runs import START

from swarmscope.runs.profiles import formats
from swarmscope.runs.profiles.difference import subtract


def test_pprof_has_routes_and_nanoseconds():
    found = read(formats.pprof(profile(("/pay", 30, PAY, RENDER), ("", 12, DUMPS)), "shop", START))

    assert found.types == ["cpu"]
    assert found.seconds == 5
    assert found.total("render_invoice", "/pay") == found.total("pay") == 30_000
    assert found.total("dumps", "") == 12_000
    assert found.files["pay"] == "shop/views.py"
    (inner,) = [sample for sample in found.samples if sample.route]
    assert inner.stack == ("render_invoice", "pay", "Flask.wsgi_app")


def test_folded_lines_begin_with_the_route():
    odd = PAY._replace(function="<lambda>; a\nb")
    text = formats.folded(profile(("/pay", 30, PAY, RENDER), ("", 42, odd)))

    assert text.splitlines() == [
        "(no request);Flask.wsgi_app (flask/app.py:1);<lambda>, a b (shop/views.py:88) 42",
        "/pay;Flask.wsgi_app (flask/app.py:1);pay (shop/views.py:88)"
        ";render_invoice (shop/invoices.py:12) 30",
    ]


def test_no_name_ends_a_line_or_another_name():
    """Nor does it reach a terminal: routes and functions are what a service says they are."""
    odd = PAY._replace(function="\x1b[31m\rpay")
    (line,) = formats.folded(profile(("/a;b\nc", 42, odd))).splitlines()

    assert line == (r"/a,b c;Flask.wsgi_app (flask/app.py:1);\x1b[31m\rpay (shop/views.py:88) 42")


def test_a_difference_has_the_baseline_first():
    changes = subtract(profile(("/pay", 30, PAY)), profile(("/pay", 10, DUMPS)), same_code=True)

    assert formats.folded_difference(changes).splitlines() == [
        "/pay;Flask.wsgi_app (flask/app.py:1);pay (shop/views.py:88) 0 30",
        "/pay;Flask.wsgi_app (flask/app.py:1);dumps (json/__init__.py:231) 30 0",
    ]
