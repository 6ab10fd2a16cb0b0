"""Which tests a sanitizer's run takes: by their names, or by the folder of their program."""

import re
import unittest

import select_tests

TESTS = [{"name": "Transaction.Ends", "command": ["/build/server/state/server_state_test", "--gtest_filter=Transaction.Ends"]},
         {"name": "Odd/Sums.Add/0 of (1)", "command": ["/build/kernels/sums_test"]},
         {"name": "Odd/Sums.Add/01", "command": ["/build/kernels/sums_test"]},
         {"name": "Estimate.OfState", "command": ["/build/core/plan/core_plan_test"]},
         {"name": "NotBuilt"}]


class SelectTest(unittest.TestCase):
    def names(self, regex):
        return select_tests.selected(TESTS, "/build", regex)

    def test_by_name_or_by_folder(self):
        self.assertEqual(self.names("state"), ["Transaction.Ends"])
        self.assertEqual(self.names("State|Odd"), ["Odd/Sums.Add/0 of (1)", "Odd/Sums.Add/01", "Estimate.OfState"])
        self.assertEqual(self.names("."), [test["name"] for test in TESTS])

    def test_where_the_build_folder_lies_selects_nothing(self):
        self.assertEqual(self.names("^build|/build"), [])

    def test_the_expression_names_these_tests_and_no_others(self):
        expression = re.compile(select_tests.expression(self.names("Odd")[:1]))
        self.assertEqual([test["name"] for test in TESTS if expression.search(test["name"])], ["Odd/Sums.Add/0 of (1)"])


if __name__ == "__main__":
    unittest.main()
