"""Pages: tables in Markdown and CSV, and generated parts between marks."""

from __future__ import annotations

import pytest

from ase_l2h.report.pages import csv_text, markdown_table, replace_block, write_page


def test_columns_of_numbers_are_aligned_to_the_right():
    rows = [["LJ13", 12], ["LJ38", 7]]
    assert markdown_table(["target", "hits"], rows).split("\n") == [
        "| target | hits |",
        "|---|---:|",
        "| LJ13 | 12 |",
        "| LJ38 | 7 |",
    ]
    assert markdown_table(["a", "b"], [], numbers=False).split("\n")[1] == "|---|---|"


def test_rows_become_comma_separated_values():
    assert (
        csv_text([{"a": 1, "b": None}, {"a": "x,y", "b": 2}]) == b'a,b\n1,\n"x,y",2\n'
    )
    assert csv_text([]) == b""
    assert csv_text([], ("a", "b")) == b"a,b\n"


def test_only_what_stands_between_the_marks_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    write_page(
        page, ["above", "<!-- x:begin -->", "old", "<!-- x:end -->", "below", ""]
    )
    replace_block(page, "x", "new\nlines")
    marks = ("<!-- x:begin -->", "<!-- x:end -->")
    text = f"above\n{marks[0]}\nnew\nlines\n{marks[1]}\nbelow\n"
    assert page.read_text() == text
    with pytest.raises(ValueError, match="y:begin"):
        replace_block(page, "y", "new")
    assert page.read_text() == text
