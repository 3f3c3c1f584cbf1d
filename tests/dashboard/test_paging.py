"""The links between the pages of a list."""

from anomify.dashboard.paging import page_links


class TestPageLinks:
    def test_a_list_on_one_page_has_no_links(self):
        found = page_links(0, 3, 3, 25, str)
        assert (found.first, found.last, found.before, found.after) == (1, 3, None, None)

    def test_a_page_in_the_middle_links_to_both_sides(self):
        found = page_links(25, 25, 60, 25, str)
        assert (found.first, found.last, found.before, found.after) == (26, 50, "0", "50")

    def test_the_last_page_links_to_the_one_before(self):
        found = page_links(50, 10, 60, 25, str)
        assert (found.before, found.after) == ("25", None)

    def test_a_page_after_the_end_links_to_the_one_before(self):
        found = page_links(100, 0, 60, 25, str)
        assert (found.before, found.after) == ("75", None)

    def test_an_empty_list_shows_item_zero_of_zero(self):
        assert page_links(0, 0, 0, 25, str).first == 0
