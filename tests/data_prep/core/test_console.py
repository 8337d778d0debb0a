from data_prep.core.console import count_of


def test_a_number_agrees_with_its_noun():
    assert [count_of(number, "contour") for number in range(3)] == [
        "0 contours",
        "1 contour",
        "2 contours",
    ]
    assert count_of(2, "series", "series") == "2 series"
    assert (count_of(1, "copy", "copies"), count_of(3, "copy", "copies")) == ("1 copy", "3 copies")
